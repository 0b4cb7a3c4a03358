"""Is the samples' typical ratio above a margin? One-sided tests on d = log(a / b) - log(margin), one d per sample.

The null hypothesis is that the typical ratio is at most the margin. The signed-rank test asks for more than the
sign test beside it, that log ratios are symmetric about the typical one, and finds more.

Differences are rounded to 12 decimals, so that the last bit of a division decides neither a sign nor a rank:
what is then 0 is a ratio exactly at the margin, and what is then equal is a tie.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wtrace.core.data import data
from wtrace.core.statistics.rows import group_means

if TYPE_CHECKING:
    from wtrace.core.statistics.rows import Index, Rows

EXACT_UP_TO = 50  # differences other than 0; above, the normal approximation errs on the safe side
DECIMALS = 12
MOST_FOR_ALL_PAIRS = 2000


@data
class PairedTest:
    """What the samples say about a ratio, for the report."""

    p: float  # signed-rank; the one a criterion is judged by
    sign_p: float
    typical_ratio: float  # the pseudomedian of the log ratios, as a ratio
    pairs: int  # samples, or groups of samples
    at_margin: int  # of them, those whose ratio is exactly the margin


def differences(a: Rows, b: Rows, margin: float, groups: Index | None = None) -> Rows:
    """log(a / b) - log(margin) per sample; with groups, of the groups' means. All values must be above 0."""
    import numpy as np

    if groups is not None:
        a, b = group_means(a, groups), group_means(b, groups)
    logs: Rows = (np.log(a) - np.log(b) - math.log(margin)).round(DECIMALS)
    return logs


def signed_rank_p(difference: Rows) -> float:
    """The one-sided p value of Wilcoxon's signed-rank test: differences are symmetric about at most 0.

    T is the sum of the ranks of |d| over d > 0; ties have their mean rank, and zeros are ranked, then left out
    (Pratt). Up to 50 differences other than 0 the p value is exact, ties or not: all 2^n signs of these ranks are
    equally likely. Above it is normal with mean sum(r) / 2, variance sum(r^2) / 4 and continuity correction.
    No difference other than 0: 1. Sources: Wilcoxon (1945), Biometrics Bulletin 1:80; Pratt (1959), JASA 54:655.
    """
    import numpy as np

    ranks = mean_ranks(np.abs(difference))
    above = float(ranks[difference > 0].sum())
    ranks = ranks[difference != 0]
    if len(ranks) == 0:
        return 1.0
    if len(ranks) <= EXACT_UP_TO:
        return exact_tail(ranks, above)
    deviation = above - 0.5 - float(ranks.sum()) / 2
    return math.erfc(deviation / math.sqrt(float((ranks**2).sum()) / 2)) / 2


def mean_ranks(values: Rows) -> Rows:
    """Ranks from 1; equal values share the mean of their ranks."""
    import numpy as np

    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: Rows = (last - (counts - 1) / 2)[which]
    return ranks


def exact_tail(ranks: Rows, at_least: float) -> float:
    """The probability that ranks, each counted or not with equal chance, add up to `at_least` or more."""
    import numpy as np

    doubled = (2 * ranks).astype(int)  # mean ranks are whole or half
    chance = np.zeros(doubled.sum() + 1)
    chance[0] = 1.0
    for rank in doubled:
        counted = np.zeros_like(chance)
        counted[rank:] = chance[:-rank]
        chance = (chance + counted) / 2
    return min(1.0, float(chance[round(2 * at_least) :].sum()))


def sign_test_p(difference: Rows) -> float:
    """The one-sided p value of the sign test: P(X >= k), X binomial(n, 1/2), k of n differences above 0.

    Zeros are left out; none other: 1. Source: Conover (1999), Practical Nonparametric Statistics, 3rd ed., 3.4.
    """
    from scipy.special import bdtrc

    above, below = int((difference > 0).sum()), int((difference < 0).sum())
    return 1.0 if above == 0 else float(bdtrc(above - 1, above + below, 0.5))


def typical_ratio(difference: Rows, margin: float) -> float:
    """The ratio at the pseudomedian of the log ratios, the median of all pairwise means: what the test is about.

    Beyond 2000 differences, of 2000 of them, evenly spaced in their order.
    Source: Hodges and Lehmann (1963), Annals of Mathematical Statistics 34:598.
    """
    import numpy as np

    ordered = np.sort(difference)
    if len(ordered) > MOST_FOR_ALL_PAIRS:
        ordered = ordered[np.linspace(0, len(ordered) - 1, MOST_FOR_ALL_PAIRS).round().astype(int)]
    first, second = np.triu_indices(len(ordered))
    return margin * float(np.exp(np.median((ordered[first] + ordered[second]) / 2)))


def paired_test(difference: Rows, margin: float) -> PairedTest:
    """Both tests and the estimate that they are about."""
    return PairedTest(
        p=signed_rank_p(difference),
        sign_p=sign_test_p(difference),
        typical_ratio=typical_ratio(difference, margin),
        pairs=len(difference),
        at_margin=int((difference == 0).sum()),
    )
