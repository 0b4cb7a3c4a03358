"""Is the samples' typical ratio above a margin? One-sided tests on d = log(a / b) - log(margin), one d per sample.

The null hypothesis is that the typical ratio is at most the margin: that the mean of two log ratios is above it no
more often than below. The signed-rank test takes log ratios to be symmetric about the typical one as well; from 50
pairs on its studentized form, which does not, has to agree.

Differences are rounded to 12 decimals, so that the last bit of a division decides neither a sign nor a rank:
what is then 0 is a ratio exactly at the margin, and what is then equal is a tie.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging.statistics.arrays import group_means

if TYPE_CHECKING:
    from wtrace.judging.statistics.arrays import Index, Rows

ALWAYS_EXACT_UP_TO = 50  # differences other than 0
EXACT_UP_TO = 400  # some milliseconds; above, the normal approximation errs on the safe side
CLEARLY_NOT = 0.25  # beyond it nobody needs an exact p value
STUDENTIZED_FROM = 50  # pairs; with fewer, Student's t finds too much
DECIMALS = 12
MOST_FOR_ALL_PAIRS = 2000


@data
class PairedTest:
    """What the samples say about a ratio, for the report."""

    p: float  # the one a criterion is judged by
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


def ratio_p(difference: Rows, threshold: float | None = None) -> float:
    """The one-sided p value that a criterion is judged by: differences have a pseudomedian of at most 0.

    Wilcoxon's signed-rank test, and from 50 differences on the larger of its p value and the studentized one. The
    former is exact where differences are symmetric, the latter holds for many of any shape. Where the former reaches
    `threshold` it stands alone.
    """
    p = signed_rank_p(difference, threshold)
    if len(difference) < STUDENTIZED_FROM or (threshold is not None and p > threshold):
        return p
    return max(p, studentized_p(difference))


def signed_rank_p(difference: Rows, threshold: float | None = None) -> float:
    """The one-sided p value of Wilcoxon's signed-rank test: differences are symmetric about at most 0.

    T is the sum of the ranks of |d| over d > 0; ties have their mean rank, and zeros are ranked, then left out
    (Pratt). Up to 400 differences other than 0 the p value is exact, ties or not: all 2^n signs of these ranks are
    equally likely. Above, and from 51 on where that already says on which side of `threshold` it lies, it is the
    normal approximation, which is not below the exact one.
    No difference other than 0: 1. Sources: Wilcoxon (1945), Biometrics Bulletin 1:80; Pratt (1959), JASA 54:655.
    """
    import numpy as np

    ranks = mean_ranks(np.abs(difference))
    above = float(ranks[difference > 0].sum())
    ranks = np.sort(ranks[difference != 0])
    if len(ranks) == 0:
        return 1.0
    if len(ranks) <= ALWAYS_EXACT_UP_TO:
        return exact_tail(ranks, above)
    p = normal_tail(ranks, above)
    decided = threshold is not None and not threshold < p <= CLEARLY_NOT
    return p if decided or len(ranks) > EXACT_UP_TO else exact_tail(ranks, above)


def normal_tail(ranks: Rows, at_least: float) -> float:
    """`exact_tail` by the normal approximation, of ranks in their order: mean sum(r) / 2, variance sum(r^2) / 4.

    The continuity correction is half a step of the sum: 1/2 for different ranks, and half of the greatest rank that
    several share, since a sum mostly of such ranks moves in steps as large.
    """
    import numpy as np

    shared = ranks[1:][np.diff(ranks) == 0]
    step = float(shared[-1]) if len(shared) else 1.0
    deviation = at_least - step / 2 - float(ranks.sum()) / 2
    return math.erfc(deviation / math.sqrt(float((ranks**2).sum()) / 2)) / 2


def mean_ranks(values: Rows) -> Rows:
    """Ranks from 1; equal values share the mean of their ranks."""
    import numpy as np

    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: Rows = (last - (counts - 1) / 2)[which]
    return ranks


def exact_tail(ranks: Rows, at_least: float) -> float:
    """The probability that ranks, each counted or not with equal chance, add up to `at_least` or more.

    By symmetry that is the probability that those not counted add up to the rest or less. Ranks are whole or half.
    """
    import numpy as np

    doubled = np.rint(2 * ranks).astype(np.int64)
    rest = int(doubled.sum()) - round(2 * at_least)
    below = cumulative(doubled.tobytes())
    if rest < len(below):
        return float(below[rest]) if rest >= 0 else 0.0
    other = int(doubled.sum()) - rest - 1
    return 1.0 - (float(below[other]) if other >= 0 else 0.0)


@lru_cache(maxsize=4)  # the checks of a race mostly have as many samples, and different ranks
def cumulative(doubled: bytes) -> Rows:
    """P(sum <= k) for k up to half of the greatest sum, of whole numbers each counted or not with equal chance.

    The ways to each sum are counted number by number; 2^400 of them are well within a float's range.
    """
    import numpy as np

    numbers = np.sort(np.frombuffer(doubled, dtype=np.int64))
    half = int(numbers.sum()) // 2
    ways = np.zeros(half + 1)
    ways[0] = 1.0
    reach = 0
    for number in numbers.tolist():
        reach = min(half, reach + number)
        ways[number : reach + 1] += ways[: max(0, reach + 1 - number)].copy()
    below: Rows = np.minimum(np.ldexp(ways.cumsum(), -len(numbers)), 1.0)
    return below


def studentized_p(difference: Rows) -> float:
    """The one-sided p value of the studentized signed-rank test: the pseudomedian is at most 0, whatever the shape.

    The share of all pairs of differences with a sum above 0 (a half for a sum of 0) is a U-statistic: it is compared
    with 1/2 by Student's t(n - 1), with a standard error of 2 sd(h) / sqrt(n), where h is each difference's own share.
    Sources: Hoeffding (1948), Annals of Mathematical Statistics 19:293; Sen (1960), Calcutta Statistical Association
    Bulletin 10:1.
    """
    import numpy as np
    from scipy.special import stdtr

    n = len(difference)
    ordered = np.sort(difference)
    mirrored = -ordered
    not_above = ordered.searchsorted(mirrored, "right") + ordered.searchsorted(mirrored, "left")
    itself = (ordered > 0).astype(int) + (ordered >= 0)
    shares = (n - (not_above + itself) / 2) / (n - 1)
    share = float(shares.sum()) / n
    around = shares - share
    beyond, error = share - 0.5, 2 * math.sqrt(float(around @ around) / (n - 1) / n)
    if error == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stdtr(n - 1, -beyond / error))


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
        p=ratio_p(difference),
        sign_p=sign_test_p(difference),
        typical_ratio=typical_ratio(difference, margin),
        pairs=len(difference),
        at_margin=int((difference == 0).sum()),
    )
