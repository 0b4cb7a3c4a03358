"""What chance has a worker left to meet every criterion at one of its planned checks that are still to come?

On the hopeful side, since a worker is ended by it; but no bound: a training that is flat and takes off late has a low
one before it does (docs/explanation/forecast.md tells how many of those are ended). Of the criteria the one with the least
chance counts, as if the others came with it; of the checks the one with the greatest. Each criterion is extrapolated
on the forecast's robust line, through its recent checks or through the latest four, whichever promises more, with
Student's t of two degrees of freedom around it: one in fifty lies beyond 4.85 standard deviations on one side, so that
a few checks rule little out.

Left out is what says nothing about later: p values, which stay at 1 until the ratio is near its margin; a criterion
with too few numbers; and one whose values do not vary, as those of a training that has not begun to learn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wtrace.config.schedule import count_planned, planned_epochs
from wtrace.judging.forecast import LATEST, Z_80, fitted, is_p_value, median, series
from wtrace.judging.referee import criterion_info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.config.spec import RaceSpec
    from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding
    from wtrace.judging.forecast import Line

FEWEST_CHECKS = 4
MAD_TO_SD = 1.4826  # of a normal distribution


def chance_left(
    spec: RaceSpec,
    worker: str,
    points: Sequence[CheckSummary],
    checks: int,
    results: Sequence[CriterionStanding],
) -> float | None:
    """The chance of a worker after its latest check, of `checks` in all; None where nobody asks for it, or too early.

    `points` are the recent checks and `results` the criteria of the latest, with their applied thresholds.
    """
    epochs = spec.epochs_of(spec.worker(worker))
    if spec.hopeless_below == 0 or not may_be_told(checks, count_planned(spec.check_every, epochs)):
        return None
    criteria = [
        criterion_info(criterion, result.threshold)
        for criterion, result in zip(spec.success, results, strict=True)
    ]
    return chance(points, criteria, check_every=spec.check_every, max_epochs=epochs)


def may_be_told(judged: int, planned: int) -> bool:
    """Whether enough checks have been judged to end a worker by its chance: four, and two thirds of those planned.

    From half of them on, nearly twice as many of the trainings that take off late would be ended, and hardly more saved.
    """
    return judged >= max(FEWEST_CHECKS, math.ceil(planned * 2 / 3))


def chance(
    points: Sequence[CheckSummary], criteria: Sequence[CriterionInfo], *, check_every: int, max_epochs: int
) -> float | None:
    """The chance, from 0 to 1, from one worker's judged checks (oldest first).

    None where nothing can be said, and where no check is left: then nothing is saved by ending the worker.
    """
    if len(points) < FEWEST_CHECKS:
        return None
    left = [epoch for epoch in planned_epochs(check_every, max_epochs) if epoch > points[-1].epoch]
    if not left:
        return None
    found = [
        chance_of(series(points, index, logarithm=False), criterion, left)
        for index, criterion in enumerate(criteria)
        if not is_p_value(criterion)
    ]
    return min((each for each in found if each is not None), default=None)


def chance_of(
    pairs: Sequence[tuple[float, float]], criterion: CriterionInfo, left: Sequence[int]
) -> float | None:
    """That a criterion with these values will hold, on its longer or its latest trend, whichever promises more."""
    lines = (fitted(pairs), fitted(pairs[-LATEST:]))
    found = [chance_on(line, criterion, left) for line in lines if line is not None]
    return max((each for each in found if each is not None), default=None)


def chance_on(line: Line, criterion: CriterionInfo, left: Sequence[int]) -> float | None:
    """That it holds at the most promising of the epochs left; None where the line's values do not vary."""
    n = len(line.epochs)
    residuals = [y - line.slope * x for x, y in zip(line.epochs, line.values, strict=True)]
    level = median(residuals)
    noise = MAD_TO_SD * median(abs(each - level) for each in residuals) * math.sqrt(1 + 1 / n)
    turn = (line.high - line.low) / (2 * Z_80)
    middle = sum(line.epochs) / n
    wanted = 1 if criterion.op in (">", ">=") else -1
    best = None
    for epoch in left:
        spread = math.hypot(noise, turn * (epoch - middle))
        if spread > 0:
            short = wanted * (criterion.applied - level - line.slope * epoch)
            best = max(best or 0.0, beyond(short / spread))
    return best


def beyond(t: float) -> float:
    """P(T > t) for Student's t with two degrees of freedom."""
    return (1 - t / math.sqrt(2 + t * t)) / 2
