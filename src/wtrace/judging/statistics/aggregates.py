"""From all samples to one number. These are the functions of the criteria language, and Cohen's d in both forms.

`weights` is None for the samples as they are. For the bootstrap it says how often each resample holds each sample; the
result then has the shape (resamples, 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wtrace.judging.statistics.arrays import Index, Mask, Rows, Weights

    Values = Any  # a float without weights, rows of the shape (resamples, 1) with them


ROUNDING = 1e-12  # of the values themselves; a spread below it is what the last bits of equal values leave


def mean(rows: Rows, weights: Weights | None = None) -> Values:
    """The arithmetic mean; without weights the sum is exactly rounded, so that ten times 0.1 average 0.1."""
    if weights is None:
        return exact_sum(rows) / len(rows)
    return weights.totals(rows) / weights.numbers()


def exact_sum(rows: Rows) -> float:
    """The sum, rounded once; NaN where it is beyond all floats."""
    try:
        return math.fsum(rows)
    except OverflowError:
        return math.nan


def count(rows: Rows, weights: Weights | None = None) -> Values:
    """How many samples there are."""
    if weights is None:
        return float(len(rows))
    return weights.numbers()


def std(rows: Rows, weights: Weights | None = None) -> float:
    """The standard deviation of a sample, with n - 1 below the line; NaN for a single value.

    What rounding alone leaves of equal values is 0. There is no resampled one: no bound of it would keep its promise.
    """
    assert weights is None
    return spread(rows, rows)


def spread(rows: Rows, *magnitudes: Rows) -> float:
    """The standard deviation, 0 where it is no more than rounding leaves in values of these magnitudes."""
    deviation = float(rows.std(ddof=1)) if len(rows) > 1 else math.nan
    return deviation if deviation > rounding(*magnitudes) else 0 * deviation


def rounding(*magnitudes: Rows) -> float:
    """What rounding may leave of a difference between values of these magnitudes."""
    return ROUNDING * max(float(abs(rows).max()) for rows in magnitudes)


def median(rows: Rows, weights: Weights | None = None) -> Values:
    """The middle value, or the mean of the two middle ones."""
    import numpy as np

    if weights is None:
        return float(np.median(rows))
    order = rows.argsort(axis=-1)
    ranked = np.take_along_axis(rows, order, axis=-1)
    each = weights.of_samples()
    ordered = each[:, order] if rows.ndim == 1 else np.take_along_axis(each, order, axis=1)
    seen = ordered.cumsum(axis=1)
    n = seen[:, -1:]
    lower = (seen < (n + 1) // 2).sum(axis=1, keepdims=True)
    upper = (seen < n // 2 + 1).sum(axis=1, keepdims=True)
    middle: Rows = (at(ranked, lower) + at(ranked, upper)) / 2
    return middle


def at(ranked: Rows, places: Index) -> Rows:
    """The value at one place for each resample, (resamples, 1)."""
    import numpy as np

    found: Rows = ranked[places] if ranked.ndim == 1 else np.take_along_axis(ranked, places, axis=1)
    return found


def least(rows: Rows, weights: Weights | None = None) -> Values:
    """The smallest value. There is no resampled minimum: the bootstrap is not consistent for it."""
    assert weights is None
    return float(rows.min())


def greatest(rows: Rows, weights: Weights | None = None) -> Values:
    """The greatest value. There is no resampled maximum: the bootstrap is not consistent for it."""
    assert weights is None
    return float(rows.max())


def fraction(rows: Mask, weights: Weights | None = None) -> Values:
    """The share of the samples for which the comparison is true."""
    return mean(rows.astype(float), weights)


def cohens_d_paired(a: Rows, b: Rows, weights: Weights | None = None) -> float:
    """Cohen's d of paired samples, d_z = mean(a - b) / std(a - b).

    Source: Lakens (2013), Frontiers in Psychology 4:863, formula 6. NaN where all differences are equal, but for what
    rounding leaves in values as large as these. It is not resampled, as its standard deviation is not.
    """
    assert weights is None
    deviation = spread(a - b, a, b)
    return float(mean(a - b)) / deviation if deviation else math.nan


def cohens_d_pooled(a: Rows, b: Rows) -> float:
    """Cohen's d of independent samples: the difference of the means over the pooled standard deviation.

    Source: Cohen (1988), Statistical Power Analysis, 2nd ed., p. 67. Neither the language nor a verdict uses it; it
    is for comparison with papers that report it. NaN where it is not defined.
    """
    n = len(a) + len(b) - 2
    if min(len(a), len(b)) < 2:
        return math.nan
    squares = (len(a) - 1) * float(a.var(ddof=1)) + (len(b) - 1) * float(b.var(ddof=1))
    pooled = math.sqrt(squares / n)
    return (float(a.mean()) - float(b.mean())) / pooled if pooled > rounding(a, b) else math.nan
