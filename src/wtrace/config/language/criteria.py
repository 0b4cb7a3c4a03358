"""Criteria: what `[success]` and `[figures] sample_pass` hold, understood once and never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config.language import parser
from wtrace.config.language.expressions import (
    Aggregate,
    Column,
    ComparisonOperator,
    Expression,
    Metric,
    PGreater,
    walk,
)
from wtrace.config.language.words import Mistake
from wtrace.data import data
from wtrace.errors import ConfigError
from wtrace.text import cells, plain

if TYPE_CHECKING:
    from collections.abc import Iterable


SHOWN = 100  # characters of a text around a mistake


@data
class Criterion:
    """`expression op threshold`. The threshold is as written; `referee.applied_threshold` corrects it.

    It must hold at `for_checks` checks in a row, and counts only from a worker's check number `min_checks` on; the
    caller counts them.
    """

    name: str
    text: str
    expression: Expression
    op: ComparisonOperator
    threshold: float
    for_checks: int = 1
    min_checks: int = 1

    @property
    def is_p_value(self) -> bool:
        """Whether a p value is compared, so that its threshold is corrected for the number of looks."""
        return isinstance(self.expression, PGreater)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the samples that it uses, each once, in the order of the text."""
        return once(node.name for node in walk(self.expression) if isinstance(node, Column))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The plain metrics that it uses, each once, in the order of the text."""
        return once(node.name for node in walk(self.expression) if isinstance(node, Metric))


def parse_criterion(name: str, text: str, *, for_checks: int = 1, min_checks: int = 1) -> Criterion:
    """The criterion that the text says. Raises ConfigError, whose `seen` points at the place of the mistake."""
    try:
        parsed = parser.parse(text, "check")
    except Mistake as mistake:
        raise located(text, mistake) from None
    criterion = Criterion(name, text, *parsed, for_checks=for_checks, min_checks=min_checks)
    if for_checks < 1 or min_checks < 1:
        raise ConfigError(
            "for_checks and min_checks must be 1 or more", seen=str(min(for_checks, min_checks))
        )
    if for_checks > 1 and criterion.columns:
        raise ConfigError(
            "for_checks is for criteria on plain metrics only",
            seen=plain(text),
            hint="a criterion on samples is judged on the samples of one check",
        )
    return criterion


def parse_sample_test(name: str, text: str) -> Criterion:
    """A test of one sample, such as `accuracy >= 0.75`: its names are columns. Raises ConfigError.

    It is for `referee.passes`; `referee.judge` never finds it met.
    """
    try:
        parsed = parser.parse(text, "samples")
        if any(isinstance(node, Aggregate) for node in walk(parsed.expression)):
            raise Mistake("a test of one sample has no function of all", 0, hint="as in accuracy >= 0.75")
    except Mistake as mistake:
        raise located(text, mistake) from None
    return Criterion(name, text, *parsed)


def located(text: str, mistake: Mistake) -> ConfigError:
    """The user's error: what is wrong, the text with a caret under the place, and what to try."""
    text = "".join(" " if char.isspace() else char for char in text)  # one line, every character in its place
    begin = max(0, min(mistake.at - SHOWN // 2, len(text) - SHOWN))
    before, after = plain(text[begin : mistake.at]), plain(text[mistake.at : begin + SHOWN])
    if begin > 0:
        before = "…" + before
    if begin + SHOWN < len(text):
        after += "…"
    return ConfigError(
        plain(mistake.what), seen=f"{before}{after}\n{' ' * cells(before)}^", hint=mistake.hint
    )


def once(names: Iterable[str]) -> tuple[str, ...]:
    """The names without repetition, in their order."""
    return tuple(dict.fromkeys(names))
