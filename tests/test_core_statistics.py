"""Every statistic against scipy, against cases worked out by hand, and by simulation."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wtrace.judging.statistics import aggregates, intervals, paired
from wtrace.judging.statistics.arrays import Weights, as_rows, group_index, group_means

FEW = st.lists(st.integers(-6, 6), min_size=1, max_size=10).map(lambda values: as_rows(values) / 2)


def normal(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, n)


# Signed-rank test


@pytest.mark.parametrize("n", [1, 2, 5, 20, 50, 51, 400])
def test_few_pairs_have_scipys_exact_p(n: int) -> None:
    for seed in range(5):
        d = normal(n, seed, shift=0.3)
        expected = scipy.stats.wilcoxon(d, alternative="greater", method="exact").pvalue
        assert paired.signed_rank_p(d) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [401, 900])
def test_many_pairs_have_scipys_corrected_normal_p(n: int) -> None:
    for seed in range(5):
        d = np.append(normal(n, seed, shift=0.1), [0.0, 0.0])
        expected = scipy.stats.wilcoxon(
            d, alternative="greater", method="asymptotic", zero_method="pratt", correction=True
        ).pvalue  # type: ignore[call-overload]
        assert paired.signed_rank_p(d) == pytest.approx(expected, rel=1e-9)


TIED: dict[str, Callable[[int], np.ndarray]] = {
    "none": lambda n: np.arange(1.0, n + 1),
    "all equal": np.ones,
    "two sizes": lambda n: np.repeat([1.0, 2.0], [n - n // 3, n // 3]),
    "most equal, at the top": lambda n: np.maximum(np.arange(1.0, n + 1), n // 5),
    "most equal, below": lambda n: np.maximum(np.arange(1.0, n + 1), n - n // 5),
    "pairs": lambda n: np.arange(n) // 2 + 1.0,
    "one size and a few": lambda n: np.append(np.ones(n - 3), [2.0, 3.0, 4.0]),
}
"""Sizes of the differences, with ties of every kind."""


@pytest.mark.parametrize("sizes", TIED)
@pytest.mark.parametrize("n", [51, 120, 400])
def test_the_normal_p_is_not_below_the_exact_one_where_criteria_look(n: int, sizes: str) -> None:
    """What spares an exact p, and stands for it beyond 400 pairs, is on the safe side whatever the ties."""
    ranks = np.sort(paired.mean_ranks(TIED[sizes](n)))
    looked_at = 0
    total = ranks.sum()
    for at_least in np.unique(np.cumsum(ranks[::-1])):
        exact = paired.exact_tail(ranks, float(at_least))
        if 1e-12 < exact < 0.02:
            looked_at += 1
            assert exact <= paired.normal_tail(ranks, float(at_least))
    assert looked_at >= 3
    assert paired.normal_tail(ranks, total * 0.6) < 40 * paired.exact_tail(ranks, total * 0.6)


def test_a_threshold_spares_the_exact_p_where_it_is_clear_already(monkeypatch: pytest.MonkeyPatch) -> None:
    d = np.append(np.ones(70), -np.ones(30))
    exact, normal_p = paired.signed_rank_p(d), paired.signed_rank_p(d, 0.01)
    assert exact == pytest.approx(scipy.stats.binom.sf(69, 100, 0.5))
    assert exact < normal_p < 0.01
    assert paired.signed_rank_p(d, exact * 1.01) == exact  # between both p values: the exact one decides
    assert paired.signed_rank_p(-d, 0.01) > paired.CLEARLY_NOT
    monkeypatch.setattr(paired, "exact_tail", lambda ranks, at_least: pytest.fail("not needed"))
    assert paired.signed_rank_p(d, 0.01) == normal_p
    assert paired.signed_rank_p(-d, 0.01) > paired.CLEARLY_NOT


def test_heavy_ties_of_many_pairs_have_the_exact_p() -> None:
    """Differences of one size are a sign test; the normal p with half a rank as correction was too small by a third."""
    for n, above in ((51, 36), (51, 38), (200, 120), (400, 240)):
        d = np.append(np.ones(above), -np.ones(n - above))
        expected = scipy.stats.binom.sf(above - 1, n, 0.5)
        assert paired.signed_rank_p(d) == pytest.approx(expected, rel=1e-10)


def test_the_exact_p_of_many_tied_pairs_is_that_of_the_signs_counted_out() -> None:
    """Sizes 1, 2 and 3, many of each: how many of each are above says it all, and can be counted out."""
    times = {1.0: 30, 2.0: 25, 3.0: 20}
    sizes = np.repeat(list(times), list(times.values()))
    ranks = dict(zip(sizes, paired.mean_ranks(sizes), strict=True))
    above = {1.0: 17, 2.0: 16, 3.0: 14}
    d = np.concatenate(
        [np.append(np.full(k, size), np.full(times[size] - k, -size)) for size, k in above.items()]
    )
    reached = sum(ranks[size] * k for size, k in above.items())
    expected = sum(
        math.prod(math.comb(n, k) for n, k in zip(times.values(), ks, strict=True))
        for ks in itertools.product(*(range(n + 1) for n in times.values()))
        if sum(ranks[size] * k for size, k in zip(times, ks, strict=True)) >= reached
    )
    assert paired.signed_rank_p(d) == pytest.approx(expected / 2 ** len(d), rel=1e-10)


def test_the_studentized_p_by_hand_and_by_all_pairs() -> None:
    d = np.append(normal(60, 4, shift=0.2).round(1), 0.0)
    kernel = np.where(np.add.outer(d, d) > 0, 1.0, np.where(np.add.outer(d, d) == 0, 0.5, 0.0))
    np.fill_diagonal(kernel, 0.0)
    shares = kernel.sum(axis=1) / (len(d) - 1)
    t = (shares.mean() - 0.5) / (2 * shares.std(ddof=1) / math.sqrt(len(d)))
    assert paired.studentized_p(d) == pytest.approx(scipy.stats.t.sf(t, len(d) - 1))
    assert paired.studentized_p(-d) == pytest.approx(scipy.stats.t.cdf(t, len(d) - 1))
    assert paired.studentized_p(np.ones(60)) == 0.0
    assert paired.studentized_p(-np.ones(60)) == 1.0
    assert paired.ratio_p(d) == max(paired.studentized_p(d), paired.signed_rank_p(d))
    assert paired.ratio_p(d[:49]) == paired.signed_rank_p(d[:49])


def test_a_few_low_clips_do_not_make_a_typical_ratio_at_the_margin_win() -> None:
    """Skewness -2, pseudomedian 0, 400 clips: the signed-rank test alone errs more often than it says."""
    rng = np.random.default_rng(12)
    centre = scipy.stats.gamma.ppf(0.5, 2) / 2  # half the median of the sum of two
    rows = centre - rng.exponential(size=(8000, 400))
    alone = sum(paired.signed_rank_p(row, 0.01) < 0.01 for row in rows)
    both = sum(paired.ratio_p(row, 0.01) < 0.01 for row in rows)
    assert alone > scipy.stats.binom.ppf(0.95, 8000, 0.01) >= both


@given(FEW)
def test_ties_and_zeros_are_exact_too(d: np.ndarray) -> None:
    """Counted out by hand: every assignment of signs to the ranks of what is not zero."""
    ranks = scipy.stats.rankdata(np.abs(d))
    above = ranks[d > 0].sum()
    ranks = ranks[d != 0]
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=len(ranks))]
    expected = sum(total >= above for total in sums) / len(sums)
    assert paired.signed_rank_p(d) == pytest.approx(expected)


def test_signed_rank_by_hand() -> None:
    assert paired.signed_rank_p(as_rows([1, 2, 3])) == 1 / 8
    assert paired.signed_rank_p(as_rows([-1, 2, 3])) == 2 / 8  # rank sums of 5 or more: {2,3}, {1,2,3}
    assert paired.signed_rank_p(as_rows([0, 0, 0])) == 1.0
    assert paired.signed_rank_p(as_rows([0, 1])) == 1 / 2
    assert paired.signed_rank_p(as_rows([-1, -2])) == 1.0


def test_ties_and_zeros_by_hand() -> None:
    # |d| 1 1 1 2: ranks 2 2 2 4, T = 8. Of 16 signs 4 give 8 or more: all above (10), or one of the three below (8).
    assert paired.signed_rank_p(as_rows([1, 1, -1, 2])) == 4 / 16
    # |d| 0 1 1 2: ranks 1 2.5 2.5 4, of which the zero's is left out. T = 5. Of 8 signs 4 do: 5, 6.5, 6.5, 9.
    assert paired.signed_rank_p(as_rows([0, 1, 1, -2])) == 4 / 8
    assert paired.mean_ranks(as_rows([3, 1, 1, 5, 1])).tolist() == [4, 2, 2, 5, 2]


@pytest.mark.parametrize("seed", range(6))
def test_few_pairs_with_ties_and_zeros_have_scipys_permutation_p(seed: int) -> None:
    d = np.random.default_rng(seed).integers(-3, 5, 11).astype(float)
    exact = scipy.stats.PermutationMethod(n_resamples=2**12)  # more than there are signs: all of them, once
    expected = scipy.stats.wilcoxon(d, alternative="greater", zero_method="pratt", method=exact)
    assert len(np.unique(np.abs(d))) < len(d)
    assert paired.signed_rank_p(d) == pytest.approx(expected.pvalue)


def test_a_ratio_exactly_at_the_margin_is_zero_whatever_the_rounding() -> None:
    a = as_rows([1.3, 3.9, 0.13, 13e10, 1.3e-9])
    b = as_rows([1.0, 3.0, 0.1, 10e10, 1.0e-9])
    assert paired.differences(a, b, 1.3).tolist() == [0.0] * 5


def test_differences_of_groups_are_those_of_their_means() -> None:
    groups = group_index(["x", "y", "x"])
    d = paired.differences(as_rows([1, 8, 3]), as_rows([1, 1, 1]), 2.0, groups)
    assert d == pytest.approx([0.0, math.log(4)])
    assert group_means(as_rows([1, 8, 3]), groups).tolist() == [2.0, 8.0]


@pytest.mark.parametrize("n", [20, 60])
def test_a_p_of_one_percent_is_kept_by_symmetric_log_ratios_at_the_margin(n: int) -> None:
    """4000 sets whose typical ratio is just the margin: 1 % of them at most, within the 99.9 % binomial limit."""
    rng = np.random.default_rng(7)
    logs = rng.normal(0.0, 0.4, (4000, n)) * rng.choice([1.0, 3.0], (4000, n))  # symmetric, with heavy tails
    wins = sum(paired.signed_rank_p(row) < 0.01 for row in logs)
    assert wins <= scipy.stats.binom.ppf(0.999, 4000, 0.01)
    assert wins >= scipy.stats.binom.ppf(0.001, 4000, 0.008)  # and it is a test that can be passed


def test_sign_test_is_the_binomial_test_without_zeros() -> None:
    d = np.append(normal(30, 3, shift=0.5), [0.0, 0.0])
    k = int((d > 0).sum())
    assert paired.sign_test_p(d) == pytest.approx(scipy.stats.binomtest(k, 30, alternative="greater").pvalue)
    assert paired.sign_test_p(as_rows([0.0])) == 1.0
    assert paired.sign_test_p(as_rows([-1.0, -2.0])) == 1.0
    assert paired.sign_test_p(as_rows([1.0, 2.0, -1.0])) == 4 / 8


def test_the_typical_ratio_is_the_pseudomedian() -> None:
    # Pairwise means of 0, 1, 5 with themselves: 0 .5 1 2.5 3 5.
    assert paired.typical_ratio(as_rows([0, 1, 5]), 2.0) == pytest.approx(2.0 * math.exp(1.75))
    d = normal(5000, 1, shift=0.4)
    assert paired.typical_ratio(d, 1.0) == pytest.approx(math.exp(d.mean()), rel=0.02)


def test_the_paired_test_holds_all_of_it() -> None:
    d = np.append(normal(30, 3, shift=0.5), 0.0)
    test = paired.paired_test(d, 1.3)
    assert (test.p, test.sign_p) == (paired.ratio_p(d), paired.sign_test_p(d))
    assert (test.pairs, test.at_margin) == (31, 1)


# Aggregates


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 3)), min_size=2, max_size=30))
def test_weights_are_repetitions(pairs: list[tuple[float, int]]) -> None:
    """An aggregate with weights is the aggregate of samples that are there so many times."""
    rows, times = as_rows([value for value, _ in pairs]), np.array([weight for _, weight in pairs])
    times[0] += 2
    repeated = np.repeat(rows, times)
    weights = Weights(np.stack([times.astype(float), np.ones(len(rows))]), np.arange(len(rows)))
    for rows_ in (rows, np.stack([rows, rows])):
        for aggregate in (aggregates.mean, aggregates.median, aggregates.count):
            got = aggregate(rows_, weights)
            assert np.shape(got) == (2, 1)
            expected = [[aggregate(repeated)], [aggregate(rows)]]
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-4)
    got = aggregates.fraction(rows > 0, weights)
    np.testing.assert_allclose(got, [[(repeated > 0).mean()], [(rows > 0).mean()]])


def test_aggregates_by_hand() -> None:
    rows = as_rows([1, 2, 3, 6])
    assert aggregates.mean(rows) == 3.0
    assert aggregates.median(rows) == 2.5
    assert aggregates.std(rows) == pytest.approx(math.sqrt(14 / 3))
    assert (aggregates.least(rows), aggregates.greatest(rows), aggregates.count(rows)) == (1.0, 6.0, 4.0)
    assert aggregates.fraction(rows >= 2) == 0.75
    assert aggregates.mean(as_rows([0.1] * 10)) == 0.1
    assert math.isnan(float(aggregates.std(as_rows([1]))))


def test_what_rounding_leaves_of_equal_values_is_no_spread() -> None:
    a = as_rows([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    for scale in (1e-9, 1.0, 1e9):
        assert math.isnan(float(aggregates.cohens_d_paired(scale * a, scale * (a - 0.1))))
        assert float(aggregates.std(scale * as_rows([0.7] * 30))) == 0.0
        assert math.isnan(
            aggregates.cohens_d_pooled(scale * as_rows([0.7] * 30), scale * as_rows([0.1] * 30))
        )
        assert float(aggregates.std(scale * as_rows([0.7, 0.7 + 1e-9]))) > 0.0


def test_cohens_d_paired_and_pooled() -> None:
    a, b = normal(40, 1, shift=1.0), normal(40, 2)
    t = scipy.stats.ttest_rel(a, b).statistic
    assert aggregates.cohens_d_paired(a, b) == pytest.approx(t / math.sqrt(40))
    b = b[:25]
    t = scipy.stats.ttest_ind(a, b).statistic
    assert aggregates.cohens_d_pooled(a, b) == pytest.approx(t * math.sqrt(1 / 40 + 1 / 25))
    assert aggregates.cohens_d_paired(as_rows([1, 2, 4]), as_rows([0, 0, 1])) == pytest.approx(2.0 / 1.0)
    assert aggregates.cohens_d_pooled(as_rows([2, 4]), as_rows([1, 3])) == pytest.approx(1 / math.sqrt(2))
    assert math.isnan(float(aggregates.cohens_d_paired(as_rows([2, 3]), as_rows([1, 2]))))
    assert math.isnan(aggregates.cohens_d_pooled(as_rows([2, 2]), as_rows([1, 1])))
    assert math.isnan(aggregates.cohens_d_pooled(as_rows([2]), as_rows([1, 3])))


# Intervals


def mean_bound(
    rows: np.ndarray, side: intervals.Side, error: float, groups: np.ndarray | None = None
) -> float:
    units = intervals.Units.of(len(rows), groups)
    found = intervals.replicates(lambda weights: aggregates.mean(rows, weights), units)
    bound = intervals.bound(float(rows.mean()), found, units=units, error=error, side=side, scale="linear")
    assert bound is not None
    return bound


def ratio_of_means(a: np.ndarray, b: np.ndarray, weights: Weights) -> np.ndarray:
    return np.asarray(aggregates.mean(a, weights) / aggregates.mean(b, weights))


def test_the_bound_of_a_mean_is_nearly_students() -> None:
    rows = normal(60, 4)
    rows = np.append(rows, -rows)  # symmetric, so that nothing is added for skewness
    expected = scipy.stats.t.interval(0.98, 119, rows.mean(), rows.std(ddof=1) / math.sqrt(120))
    assert mean_bound(rows, "low", 0.01) == pytest.approx(expected[0], rel=0.12)
    assert mean_bound(rows, "high", 0.01) == pytest.approx(expected[1], rel=0.12)
    assert mean_bound(rows, "low", 0.01 / 40) < mean_bound(rows, "low", 0.01)


def test_replicates_have_scipys_standard_error() -> None:
    rows = normal(50, 5)
    found = intervals.replicates(
        lambda weights: aggregates.median(rows, weights), intervals.Units.of(50, None)
    )
    theirs = scipy.stats.bootstrap(
        (rows,), np.median, n_resamples=3000, rng=np.random.default_rng(1), method="percentile"
    )
    assert found.shape == (1000,)
    assert found.std(ddof=1) == pytest.approx(theirs.standard_error, rel=0.1)


def test_the_interval_of_a_ratio_is_near_scipys_bootstrap() -> None:
    a, b = np.exp(normal(100, 1) * 0.4 + 0.5), np.exp(normal(100, 2) * 0.4)
    units = intervals.Units.of(100, None)
    found = intervals.replicates(partial(ratio_of_means, a, b), units)
    theirs = scipy.stats.bootstrap(
        (a, b),
        lambda x, y: x.mean() / y.mean(),
        paired=True,
        vectorized=False,
        n_resamples=2000,
        rng=np.random.default_rng(3),
        method="BCa",
    ).confidence_interval
    sides: dict[intervals.Side, float] = {"low": theirs.low, "high": theirs.high}
    width = theirs.high - theirs.low
    for side, expected in sides.items():
        bound = intervals.bound(a.mean() / b.mean(), found, units=units, error=0.025, side=side, scale="log")
        assert bound == pytest.approx(expected, abs=0.15 * width)


def test_the_same_samples_have_the_same_bound() -> None:
    rows = normal(30, 6)
    assert mean_bound(rows, "low", 0.01) == mean_bound(rows, "low", 0.01)


def test_groups_are_drawn_together() -> None:
    """Ten clips of each of 12 videos, all alike within a video, say as much as 12 clips."""
    videos = normal(12, 8)
    clips = np.repeat(videos, 10)
    groups = np.repeat(np.arange(12), 10)
    assert mean_bound(clips, "low", 0.01, groups) == pytest.approx(mean_bound(videos, "low", 0.01), abs=0.15)
    assert mean_bound(clips, "low", 0.01) > mean_bound(clips, "low", 0.01, groups) + 0.4


def test_a_log_bound_does_not_depend_on_which_way_round_the_quotient_is_written() -> None:
    a, b = np.exp(normal(40, 1, shift=0.5)), np.exp(normal(40, 2))
    units = intervals.Units.of(40, None)

    def bound(above: np.ndarray, below: np.ndarray, side: intervals.Side) -> float:
        found = intervals.replicates(partial(ratio_of_means, above, below), units)
        got = intervals.bound(
            above.mean() / below.mean(), found, units=units, error=0.01, side=side, scale="log"
        )
        assert got is not None
        return got

    assert bound(a, b, "low") == pytest.approx(1 / bound(b, a, "high"))
    assert 0 < bound(a, b, "low") < a.mean() / b.mean() < bound(a, b, "high")


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (13, 20), (20, 20), (280, 400)])
def test_the_bound_of_a_share_is_clopper_and_pearsons(hits: int, n: int) -> None:
    expected = scipy.stats.binomtest(hits, n).proportion_ci(confidence_level=1 - 2 * 0.00025, method="exact")
    units = intervals.Units.of(n, None)
    limits: dict[intervals.Side, float] = {"low": expected.low, "high": expected.high}
    for side, limit in limits.items():
        got = intervals.share_bound(hits / n, 0.1, units=units, error=0.00025, side=side)
        assert got == pytest.approx(limit)


def test_grouped_samples_that_all_agree_count_as_their_groups() -> None:
    units = intervals.Units.of(120, np.repeat(np.arange(12), 10))
    one_each = intervals.share_bound(1.0, 0.0, units=intervals.Units.of(12, None), error=0.01, side="low")
    assert intervals.share_bound(1.0, 0.0, units=units, error=0.01, side="low") < one_each < 0.7


def test_without_variation_there_is_no_bound() -> None:
    rows = as_rows([0.7] * 30)
    units = intervals.Units.of(30, None)
    found = intervals.replicates(lambda weights: aggregates.mean(rows, weights), units)
    assert intervals.bound(0.7, found, units=units, error=0.01, side="low", scale="linear") is None


@pytest.mark.parametrize("skewed", [False, True])
def test_a_bound_is_beyond_the_truth_as_seldom_as_it_says(skewed: bool) -> None:
    """Ratios of means of log-normal values, and means of accuracies near 1, which lean to the wrong side."""
    rng = np.random.default_rng(11)
    units = intervals.Units.of(20, None)
    beyond = 0
    for _ in range(1500):
        a = rng.beta(8, 2, 20) if skewed else np.exp(rng.normal(0.4, 0.5, 20))
        b = np.ones(20) if skewed else np.exp(rng.normal(0.0, 0.5, 20))
        found = intervals.replicates(partial(ratio_of_means, a, b), units)
        bound = intervals.bound(
            a.mean() / b.mean(),
            found,
            units=units,
            error=0.01,
            side="low",
            scale="linear" if skewed else "log",
        )
        assert bound is not None
        beyond += bound > (0.8 if skewed else math.exp(0.4))
    assert beyond <= scipy.stats.binom.ppf(0.99, 1500, 0.015)


def test_much_data_is_resampled_in_bounded_pieces() -> None:
    sizes: list[int] = []
    rows = normal(30_000, 1)

    def statistic(weights: Weights) -> Any:
        sizes.append(weights.of_samples().size)
        return aggregates.mean(rows, weights)

    found = intervals.replicates(statistic, intervals.Units.of(30_000, None))
    assert len(found) == intervals.FEWEST_RESAMPLES
    assert max(sizes) <= intervals.CELLS


def test_judging_samples_does_not_import_scipy_stats() -> None:
    """It takes most of a second, and the first check of a race would wait for it."""
    code = (
        "import sys; from wtrace.judging import referee; from wtrace.config.language.criteria import parse_criterion\n"
        "from wtrace.judging.statistics import arrays, paired\n"
        "referee.warm_up([parse_criterion('p', 'p_greater(a, b, 1.3) < 0.01')])\n"
        "warm = set(sys.modules); paired.paired_test(arrays.as_rows([1.0, 2.0, 3.0]), 1.0)\n"
        "assert 'scipy.special' in warm and set(sys.modules) == warm; sys.exit('scipy.stats' in warm)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
