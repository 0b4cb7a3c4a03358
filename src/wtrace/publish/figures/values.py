"""Numbers for the figures out of what workers sent, which may be anything, and the words for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wtrace.config.language.expressions import Arithmetic, Column, Expression, PGreater, walk
from wtrace.data import data
from wtrace.judging.evaluation import Evaluation
from wtrace.judging.samples import NoValue, Sample, is_list
from wtrace.publish.figures.figure_data import NotDrawableError
from wtrace.publish.figures.style import shown
from wtrace.text import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.config.language.criteria import Criterion
    from wtrace.judging.referee import Interval
    from wtrace.publish.figures.figure_data import FigureEvidence, PicturedCheck

BEYOND = 1e100  # a drawing overflows with numbers much larger


@data
class Contrast:
    """Two values of every sample that a criterion compares, and what it is about."""

    criterion: Criterion
    a: Expression
    b: Expression
    margin: float | None  # of a p criterion


def contrast_of(success: Sequence[Criterion]) -> Contrast | None:
    """What the p criterion compares, else what the first ratio of two columns does; None where there is neither."""
    for criterion in success:
        if isinstance(criterion.expression, PGreater):
            test = criterion.expression
            return Contrast(criterion, test.a, test.b, test.margin)
    for criterion in success:
        for node in walk(criterion.expression):
            if isinstance(node, Arithmetic) and node.op == "/" and (pair := _two_columns(node)):
                return Contrast(criterion, *pair, margin=None)
    return None


def _two_columns(ratio: Arithmetic) -> tuple[Column, Column] | None:
    above, below = _columns(ratio.left), _columns(ratio.right)
    if len(above) == len(below) == 1 and above != below:
        return above.pop(), below.pop()
    return None


def _columns(node: Expression) -> set[Column]:
    return {part for part in walk(node) if isinstance(part, Column)}


def per_sample(expression: Expression, samples: Mapping[str, object]) -> list[float]:
    """The expression's value for each sample; NaN where it has none."""
    return [_value(expression, Sample(samples, index)) for index in range(count(samples))]


def count(samples: Mapping[str, object]) -> int:
    """How many samples there are."""
    return max((len(values) for values in samples.values() if is_list(values)), default=0)


def of_means(expression: Expression, samples: Mapping[str, object]) -> float:
    """The expression's value for the columns' means (of a quotient: the ratio of means); NaN where it has none."""
    names = {node.name for node in walk(expression) if isinstance(node, Column)}
    means = {name: [_mean(per_sample(Column(name), samples))] for name in names}
    return _value(expression, Sample(means, 0))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _value(expression: Expression, sample: Sample) -> float:
    try:
        return drawable(float(Evaluation({}, sample).value(expression)))
    except NoValue:
        return math.nan


def drawable(value: float | None) -> float:
    """The value, or NaN (a gap) where it is missing or too large to be drawn."""
    return value if value is not None and abs(value) < BEYOND else math.nan


def chosen_of(evidence: FigureEvidence) -> PicturedCheck:
    """The check that is drawn. NotDrawableError where none was judged."""
    if evidence.chosen is None:
        raise NotDrawableError("no check was judged")
    return evidence.chosen


def which(evidence: FigureEvidence) -> str:
    """Which check a figure shows: the winning one, or how near one came."""
    check = chosen_of(evidence)
    return f"{role(evidence)}: {shown(check.worker)}, epoch {check.epoch}"


def role(evidence: FigureEvidence) -> str:
    """What the drawn check is to the race."""
    if evidence.standing.winner is not None:
        return "winning check"
    return "best check so far" if evidence.standing.state == "running" else "closest approach (no winner)"


def with_interval(interval: Interval | None) -> str:
    """` (95 % interval 1.57 to 1.70)`; nothing where there is none."""
    if interval is None:
        return ""
    low, high = numbers(interval.low, interval.high)
    return f" ({interval.level:.0%} interval {low} to {high})".replace("%", " %")
