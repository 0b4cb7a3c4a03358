"""The parts of a config that follow from a log: its `[metrics]`, a criterion to begin with, and how far it goes."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from wtrace.config.template import Suggestion
from wtrace.metrics.proposals.printed import VALIDATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.metrics.proposals.propose import Proposal

FEW_EPOCHS = 10  # below, every one is judged
USUAL_CHECK_EVERY = 5
_LESS_IS_BETTER = re.compile(
    r"loss|err|rmse|mae|mse|mape|ppl|perplex|wer|cer|fid|bpb|bpc|nll|elbo|l1|l2|time", re.IGNORECASE
)


def suggest(
    log: str, proposal: Proposal, path: str | None, epochs: Mapping[int, Mapping[str, object]]
) -> Suggestion | None:
    """What follows from the epochs that the proposal reads in this log; None where it reads none with a metric."""
    numbers = sorted(epoch for epoch, values in epochs.items() if epoch > 0 and values)
    metric = next((name for name in _ordered(proposal.metrics) if _values(name, epochs)), None)
    if metric is None or not numbers:
        return None
    less = _LESS_IS_BETTER.search(metric) is not None
    best = (min if less else max)(_values(metric, epochs))
    name = metric if metric.isidentifier() else f"'{metric}'"
    return Suggestion(
        log,
        proposal.table(path),
        metric,
        f"{name} {'<=' if less else '>='} {best:.6g}",
        _check_every(numbers),
        numbers[-1],
    )


def _ordered(names: Sequence[str]) -> list[str]:
    return sorted((name for name in names if "'" not in name), key=lambda name: not VALIDATION.search(name))


def _values(metric: str, epochs: Mapping[int, Mapping[str, object]]) -> list[float]:
    found = (values.get(metric) for values in epochs.values())
    return [value for value in found if isinstance(value, int | float) and math.isfinite(value)]


def _check_every(numbers: Sequence[int]) -> int:
    """The distance of the numbers where they do not follow each other."""
    gaps = Counter(b - a for a, b in pairwise(numbers))
    gap = gaps.most_common(1)[0][0] if gaps else 1
    if gap > 1:
        return gap
    return USUAL_CHECK_EVERY if numbers[-1] >= FEW_EPOCHS else 1
