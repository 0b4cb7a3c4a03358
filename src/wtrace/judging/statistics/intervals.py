"""Confidence bounds of any expression of the samples, by the bootstrap.

The bootstrap gives the standard error se, and the skewness g of its replicates; the bound is at
estimate -/+ (t + c) se with Student's t(units - 1, error) and c = max(0, -/+ g (2 t^2 + 1) / 6).
Percentiles of the bootstrap cannot be had at the error probabilities of a corrected criterion (0.01 / 40 asks for
tens of thousands of resamples), and they are too narrow for few samples. The t quantile is wide enough for both; c is
the second-order term of the studentized estimate's distribution, used only where it makes the bound more careful.
Sources: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 6 and 12; Johnson (1978), JASA 73:536;
Hall (1992), The Bootstrap and Edgeworth Expansion, 2.6.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.judging.statistics.arrays import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from wtrace.judging.statistics.arrays import Index, Rows

Side = Literal["low", "high"]
Scale = Literal["linear", "log", "share"]

FEWEST_UNITS = 5
MOST_UNITS = 400
MOST_RESAMPLES = 1000
FEWEST_RESAMPLES = 200
MOST_CELLS = 4_000_000  # resamples x samples of one interval: some ten milliseconds
CELLS = 400_000  # of them at a time
NO_VARIATION = 1e-12  # below it, a standard error is what rounding left
SEED = 0  # always the same: the same samples have the same interval


@data
class Units:
    """What is drawn together: single samples, or groups of them (clips of one video); of more than 400, parts.

    A part holds as many of them as any other, give or take one, picked at random: that is enough to see how much
    the statistic varies, and costs as little for a million samples as for 400.
    """

    of_sample: Index
    count: int
    drawn: Index  # which part each unit belongs to
    parts: int

    @classmethod
    def of(cls, samples: int, groups: Index | None) -> Units:
        """The units of so many samples, in their canonical order."""
        import numpy as np

        of_sample = np.arange(samples) if groups is None else groups
        count = samples if groups is None else int(groups.max()) + 1
        parts = min(count, MOST_UNITS)
        shuffled = np.arange(count)
        if parts < count:
            shuffled = np.random.default_rng(SEED).permutation(count)
        return cls(of_sample, count, shuffled % parts, parts)


def replicates(statistic: Callable[[Weights], Rows], units: Units) -> Rows:
    """The statistic of many resamples, (resamples,). It is given their weights, in bounded chunks."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    part_of_sample = units.drawn[units.of_sample]
    at_once = max(1, CELLS // len(part_of_sample))
    left = min(MOST_RESAMPLES, max(FEWEST_RESAMPLES, MOST_CELLS // len(part_of_sample)))
    found: list[Rows] = []
    while left > 0:
        chunk = min(left, at_once)
        found.append(statistic(Weights(drawn(rng, chunk, units.parts), part_of_sample)).ravel())
        left -= chunk
    return np.concatenate(found)


def drawn(rng: np.random.Generator, resamples: int, units: int) -> Rows:
    """How often each unit is drawn in each resample of as many units as there are, with replacement."""
    import numpy as np

    picks = rng.integers(units, size=(resamples, units))
    picks += np.arange(resamples)[:, None] * units
    counts = np.bincount(picks.ravel(), minlength=resamples * units)
    return counts.reshape(resamples, units).astype(np.float64)


def bound(
    estimate: float, found: Rows, *, units: Units, error: float, side: Side, scale: Scale
) -> float | None:
    """The bound that lies beyond the truth with probability `error`; None where the replicates do not vary.

    On the scale `log` (of a quotient of positive values) it is the same whichever way round the quotient is written.
    """
    import numpy as np

    if scale == "log":
        log_bound = bound(
            float(np.log(estimate)), np.log(found), units=units, error=error, side=side, scale="linear"
        )
        return None if log_bound is None else float(np.exp(log_bound))
    standard_error = float(found.std(ddof=1)) * math.sqrt(units.parts / (units.parts - 1))
    if scale == "share":
        return share_bound(estimate, standard_error, units=units, error=error, side=side)
    if standard_error <= NO_VARIATION * max(1.0, abs(estimate)):
        return None
    away = -1 if side == "low" else 1
    t = student_quantile(units.parts - 1, error)
    skewness = float(((found - found.mean()) ** 3).mean() / found.std() ** 3)
    return estimate + away * (t + max(0.0, away * skewness * (2 * t**2 + 1) / 6)) * standard_error


def student_quantile(degrees: float, error: float) -> float:
    """The value that Student's t exceeds with probability `error`."""
    from scipy.special import stdtrit

    return -float(stdtrit(degrees, error))


def share_bound(share: float, standard_error: float, *, units: Units, error: float, side: Side) -> float:
    """The bound of a share of the samples, exact where each sample is a unit of its own (Clopper and Pearson).

    Samples in groups count as fewer: as share (1 - share) / standard_error^2, or as many as there are groups where
    that is 0 / 0, reduced for the degrees of freedom of the groups.
    Sources: Clopper and Pearson (1934), Biometrika 26:404; Korn and Graubard (1998), Survey Methodology 24:193.
    """
    from scipy.special import betainccinv, betaincinv

    samples = len(units.of_sample)
    n = float(samples)
    if units.count < samples:
        n = (
            min(n, share * (1 - share) / standard_error**2)
            if standard_error > NO_VARIATION
            else float(units.count)
        )
        n *= (student_quantile(samples - 1, error) / student_quantile(units.count - 1, error)) ** 2
    hits = share * n
    if side == "low":
        return float(betaincinv(hits, n - hits + 1, error)) if share > 0 else 0.0
    return float(betainccinv(hits + 1, n - hits, error)) if share < 1 else 1.0
