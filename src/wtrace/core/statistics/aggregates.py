"""From all samples to one number. These are the functions of the criteria language, and Cohen's d in both forms.

`weights` is None for the samples as they are. For the bootstrap it has the shape (resamples, samples) and says how
often each resample holds each sample; the result then has the shape (resamples, 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wtrace.core.statistics.rows import Index, Mask, Rows

    Values = Any  # a float without weights, rows of the shape (resamples, 1) with them


def mean(rows: Rows, weights: Rows | None = None) -> Values:
    """The arithmetic mean; without weights the sum is exactly rounded, so that ten times 0.1 average 0.1."""
    if weights is None:
        return exact_sum(rows) / len(rows)
    return total(rows, weights) / count(rows, weights)


def exact_sum(rows: Rows) -> float:
    """The sum, rounded once; NaN where it is beyond all floats."""
    try:
        return math.fsum(rows)
    except OverflowError:
        return math.nan


def total(rows: Rows, weights: Rows) -> Rows:
    """The weighted sum of each resample, (resamples, 1)."""
    sums: Rows = weights @ rows if rows.ndim == 1 else (weights * rows).sum(axis=1)
    return sums[:, None]


def count(rows: Rows, weights: Rows | None = None) -> Values:
    """How many samples there are."""
    if weights is None:
        return float(len(rows))
    sums: Rows = weights.sum(axis=1, keepdims=True)
    return sums


def std(rows: Rows, weights: Rows | None = None) -> Values:
    """The standard deviation of a sample, with n - 1 below the line; NaN for a single value."""
    if weights is None:
        return float(rows.std(ddof=1)) if len(rows) > 1 else math.nan
    centred = rows - rows.mean()
    n = weights.sum(axis=1, keepdims=True)
    squares = total(centred**2, weights) - total(centred, weights) ** 2 / n
    deviation: Rows = (squares.clip(min=0) / (n - 1)) ** 0.5
    return deviation


def median(rows: Rows, weights: Rows | None = None) -> Values:
    """The middle value, or the mean of the two middle ones."""
    import numpy as np

    if weights is None:
        return float(np.median(rows))
    order = rows.argsort(axis=-1)
    ranked = np.take_along_axis(rows, order, axis=-1)
    ordered = weights[:, order] if rows.ndim == 1 else np.take_along_axis(weights, order, axis=1)
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


def least(rows: Rows, weights: Rows | None = None) -> Values:
    """The smallest value. There is no resampled minimum: the bootstrap is not consistent for it."""
    assert weights is None
    return float(rows.min())


def greatest(rows: Rows, weights: Rows | None = None) -> Values:
    """The greatest value. There is no resampled maximum: the bootstrap is not consistent for it."""
    assert weights is None
    return float(rows.max())


def fraction(rows: Mask, weights: Rows | None = None) -> Values:
    """The share of the samples for which the comparison is true."""
    return mean(rows.astype(float), weights)


def cohens_d_paired(a: Rows, b: Rows, weights: Rows | None = None) -> Values:
    """Cohen's d of paired samples, d_z = mean(a - b) / std(a - b).

    Source: Lakens (2013), Frontiers in Psychology 4:863, formula 6. NaN where all differences are equal.
    """
    difference = a - b
    spread = std(difference, weights)
    if isinstance(spread, float) and spread == 0:
        return math.nan
    return mean(difference, weights) / spread


def cohens_d_pooled(a: Rows, b: Rows) -> float:
    """Cohen's d of independent samples: the difference of the means over the pooled standard deviation.

    Source: Cohen (1988), Statistical Power Analysis, 2nd ed., p. 67. Neither the language nor a verdict uses it; it
    is for comparison with papers that report it. NaN where it is not defined.
    """
    n = len(a) + len(b) - 2
    if min(len(a), len(b)) < 2:
        return math.nan
    pooled = math.sqrt(((len(a) - 1) * float(a.var(ddof=1)) + (len(b) - 1) * float(b.var(ddof=1))) / n)
    return (float(a.mean()) - float(b.mean())) / pooled if pooled else math.nan
