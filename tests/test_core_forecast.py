"""The forecast: straight curves by hand, wild ones by property, the fit against scipy."""

from __future__ import annotations

import math
import random

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import standing_samples
from wtrace.config.language.criteria import parse_criterion
from wtrace.data import replace
from wtrace.judging import forecast
from wtrace.judging.checks import CheckSummary, CriterionInfo
from wtrace.judging.forecast import Estimate, describe, trend
from wtrace.judging.referee import criterion_info
from wtrace.publish import view

RATIO = CriterionInfo("ratio", "mean(a) / mean(b) >= 1.5", ">=", 1.5, 1.5)
LOSS = CriterionInfo("loss", "loss <= 0.2", "<=", 0.2, 0.2)
P = CriterionInfo("separation", " (p_greater(a, b, 1.3)) < 0.01", "<", 0.01, 1e-4, p_value=True)


def curve(
    *values: float | None, every: int = 5, pace_s: float = 60.0, met: bool = False
) -> list[CheckSummary]:
    return [
        CheckSummary(epoch=every * (i + 1), at=1000.0 + every * i * pace_s, values=(value,), met=(met,))
        for i, value in enumerate(values)
    ]


def both(*pairs: tuple[float, float], met: tuple[bool, bool] = (False, False)) -> list[CheckSummary]:
    return [CheckSummary(5 * (i + 1), 1000.0 + 300 * i, pair, met) for i, pair in enumerate(pairs)]


def estimated(
    points: list[CheckSummary], *criteria: CriterionInfo, max_epochs: int = 50, later_s: float = 0
) -> Estimate:
    return forecast.estimate(
        points, criteria, check_every=5, max_epochs=max_epochs, now=points[-1].at + later_s if points else 0.0
    )


def bending(
    start: float, per_doubling: float, checks: int = 4, noise: float = 0.0, seed: int = 1
) -> list[float]:
    """A curve as trainings draw them: as much from epoch 5 to 10 as from 10 to 20 and from 20 to 40."""
    rng = random.Random(seed)
    return [start + per_doubling * math.log2(i + 1) + rng.gauss(0, noise) for i in range(checks)]


def test_a_line_over_the_logarithm_of_the_epoch_arrives_when_it_arrives() -> None:
    """0.2 for every doubling from 1.0 at epoch 5: 1.4 at epoch 20, 1.6 at epoch 40, 1.5 at epoch 28.3."""
    assert estimated(curve(*bending(1.0, 0.2)), RATIO) == Estimate(600.0, 600.0, 600.0, epoch=30.0)
    assert estimated(curve(*bending(1.0, 0.2)), RATIO, later_s=120) == Estimate(
        480.0, 480.0, 480.0, epoch=30.0
    )
    assert estimated(curve(*bending(0.5, -0.1)), LOSS).epoch == 40.0


def test_it_arrives_at_planned_checks_only() -> None:
    assert (
        estimated(curve(*bending(1.0, 0.2)), RATIO, max_epochs=29).epoch == 29.0
    )  # the last epoch is planned too
    assert estimated(curve(*bending(1.0, 0.2)), RATIO, max_epochs=28).reason == "not on this trend"


def test_a_line_that_should_be_there_already_arrives_with_the_next_check() -> None:
    assert estimated(curve(1.0, 1.6, 1.49), RATIO) == Estimate(300.0, 300.0, None, epoch=20.0)


def test_p_values_are_fitted_by_their_logarithm_against_the_corrected_threshold() -> None:
    assert estimated(curve(*[10**power for power in bending(-1.0, -1.0)]), P).epoch == 40.0
    assert estimated(curve(1e-1, 1e-2, 0.0), P).epoch == 20.0


def test_whether_it_is_a_p_value_is_not_asked_of_the_text() -> None:
    """A metric may have such a name, and a p value stand in parentheses or in the middle of spaces."""
    spaced = parse_criterion("p", "( p_greater (a, b, 1.3)) < 0.01")
    metric = parse_criterion("m", "'p_greater(x)' < 0.01")
    assert [forecast.is_p_value(criterion_info(each, 1e-4)) for each in (spaced, metric)] == [True, False]


def test_the_slowest_criterion_decides() -> None:
    pairs = list(zip(bending(1.0, 0.2), bending(0.5, -0.1), strict=True))
    assert estimated(both(*pairs), RATIO, LOSS).epoch == 40.0
    low = [(ratio, 0.1) for ratio, _ in pairs]
    assert estimated(both(*low, met=(False, True)), RATIO, LOSS).epoch == 30.0


TWICE = replace(LOSS, for_checks=2)
LATE = replace(LOSS, min_checks=6)


def test_a_criterion_that_must_hold_again_or_not_yet_is_not_any_moment() -> None:
    held = curve(0.3, 0.25, 0.19, met=True)
    once = [*curve(0.3, 0.25, 0.22), *held[2:]]
    once = [replace(point, epoch=5 * (i + 1)) for i, point in enumerate((*once[:2], once[3]))]
    assert estimated(once, LOSS).seconds == 0.0
    assert estimated(once, TWICE).epoch == 20.0  # it held at epoch 15, and has to at the next check
    assert estimated(held, TWICE).seconds == 0.0  # it held at all three
    assert estimated(held, LATE).epoch == 30.0  # the sixth check
    assert estimated(once, TWICE, max_epochs=15).reason == "no check is left"
    assert estimated(held, LATE, max_epochs=25).reason == "no check is left"
    told = forecast.estimate(held, [LATE], check_every=5, max_epochs=50, now=held[-1].at, checks=40)
    assert told.seconds == 0.0  # of forty checks these are the latest


def test_one_that_does_not_hold_yet_arrives_as_much_later_as_it_must_hold() -> None:
    points = curve(*bending(0.5, -0.1))
    assert estimated(points, replace(LOSS, for_checks=3)).epoch == 50.0  # at 40, 45 and 50
    assert estimated(points, replace(LOSS, for_checks=4)).reason == "not on this trend"
    assert estimated(points, replace(LOSS, min_checks=9)).epoch == 45.0


def test_whoever_cannot_win_any_more_has_no_forecast() -> None:
    race = standing_samples.running_race()
    worker = next(each for each in race.workers if each.state == "running" and not each.control)
    assert view.of_worker(worker, race, race.at) is not None
    for changed, other in (
        (replace(worker, control=True), race),
        (replace(worker, state="finished"), race),
        (worker, replace(race, winner="somebody")),
    ):
        assert view.of_worker(changed, other, race.at) is None


def test_why_there_is_no_estimate() -> None:
    assert estimated([], RATIO).reason == "fewer than 3 checks"
    assert estimated(curve(1.0, 1.1), RATIO).reason == "fewer than 3 checks"
    assert estimated(curve(1.0, None, math.nan, 1.1), RATIO).reason == "fewer than 3 values of ratio"
    assert estimated(curve(1.2, 1.1, 1.0), RATIO).reason == "not on this trend"
    assert estimated(curve(1.0, 1.0, 1.0), RATIO).reason == "not on this trend"
    assert estimated(curve(1.0, 1.01, 1.02), RATIO).reason == "not on this trend"
    assert estimated(curve(1.0, 1.1, 1.2), RATIO, max_epochs=15).reason == "no check is left"
    assert estimated(curve(*bending(1.0, 0.2), pace_s=0.0), RATIO).reason == "the pace is not known"
    for points in (curve(1.0, 1.1), curve(1.2, 1.1, 1.0)):
        assert estimated(points, RATIO).seconds is None


def test_what_holds_already_needs_no_time() -> None:
    assert estimated(curve(1.5, 1.6, 1.7, met=True), RATIO) == Estimate(0.0, 0.0, 0.0, epoch=15.0)


def test_a_pause_and_a_wild_check_do_not_move_it() -> None:
    values = bending(1.0, 0.15, 6)
    points = curve(*values[:3], 9.0, *values[4:])
    shifted = [*points[:3], *(replace(point, at=point.at + 1e6) for point in points[3:])]
    assert estimated(shifted, RATIO, max_epochs=100).epoch == 55.0  # 2^(0.5 / 0.15) * 5 = 50.4
    assert estimated(shifted, RATIO, max_epochs=100).seconds == 1500.0


def test_a_curve_that_has_bent_away_is_not_on_its_trend() -> None:
    """Its recent checks as a whole would be there at epoch 55; its latest four stand still."""
    bent = curve(*bending(1.0, 0.14, 5), 1.34, 1.35, 1.35, 1.34)
    assert estimated(bent, RATIO, max_epochs=200).reason == "not on this trend"
    assert estimated(bent[:5], RATIO, max_epochs=200).seconds is not None


def test_old_checks_are_forgotten() -> None:
    old = curve(*[2.0 - 0.1 * i for i in range(10)], *bending(0.1, 0.3, 18)[10:])
    assert (
        estimated(old, RATIO, max_epochs=1000).epoch
        == estimated(curve(*bending(0.1, 0.3, 18)), RATIO, max_epochs=1000).epoch
    )


def test_the_interval_holds_the_estimate_and_grows_with_noise() -> None:
    calm = estimated(curve(*bending(1.0, 0.1, 8, noise=0.003)), RATIO, max_epochs=2000)
    wild = estimated(curve(*bending(1.0, 0.1, 8, noise=0.012)), RATIO, max_epochs=2000)
    widths = []
    for found in (calm, wild):
        assert found.low_s is not None
        assert found.seconds is not None
        assert found.high_s is not None
        assert found.low_s <= found.seconds <= found.high_s
        widths.append(found.high_s - found.low_s)
    assert widths[0] < widths[1]


@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_fit_is_scipys(n: int) -> None:
    rng = random.Random(n)
    x, y = [float(5 * i) for i in range(n)], [rng.gauss(i, 2) for i in range(n)]
    line = forecast.fitted(list(zip(x, y, strict=True)))
    theirs = scipy.stats.theilslopes(y, x, alpha=0.8)
    assert line is not None
    assert (line.slope, line.low, line.high) == pytest.approx(
        (theirs.slope, theirs.low_slope, theirs.high_slope)
    )


def test_trend() -> None:
    assert trend(curve(1.0, 1.1, 1.2), 0) == "rising"
    assert trend(curve(3.0, 2.0, 1.0), 0) == "falling"
    assert trend(curve(1.0, 1.0, 1.0), 0) == "flat"
    assert trend(curve(1.0, 1.3, 0.9, 1.2, 1.0, 1.1), 0) == "flat"
    assert trend(curve(1.0, 1.1), 0) is None
    assert trend(curve(1.0, None, 1.2), 0) is None


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(2700, 1800, 4800), "about 45 min (30–80)"),  # noqa: RUF001
        (Estimate(2700, 1800, None), "about 45 min (at least 30)"),
        (Estimate(2700, 2690, 2710), "about 45 min"),
        (Estimate(40, 20, 60), "about 40 s (20–60)"),  # noqa: RUF001
        (Estimate(9000, 5400, 14400), "about 2.5 h (1.5–4)"),  # noqa: RUF001
        (Estimate(5 * 86400, 86400, 20 * 86400), "about 5 d (1–20)"),  # noqa: RUF001
        (Estimate(0, 0, 0), "any moment"),
        (Estimate(None, reason="not on this trend"), "not on this trend"),
        (Estimate(None, reason="fewer than 3 checks"), "no estimate: fewer than 3 checks"),
    ],
)
def test_how_it_is_told(estimate: Estimate, text: str) -> None:
    assert describe(estimate) == text


POINTS = st.lists(
    st.builds(
        CheckSummary,
        epoch=st.integers(0, 60),
        at=st.floats(0, 1e12),
        values=st.tuples(st.none() | st.floats(), st.none() | st.floats()),
        met=st.tuples(st.booleans(), st.booleans()),
    ),
    max_size=12,
)


@given(POINTS, st.floats(0, 1e12))
def test_no_curve_raises(points: list[CheckSummary], now: float) -> None:
    found = forecast.estimate(
        points,
        [replace(RATIO, for_checks=2), replace(P, min_checks=3)],
        check_every=7,
        max_epochs=50,
        now=now,
    )
    assert describe(found)
    assert trend(points, 0) in (None, "rising", "falling", "flat")
    if found.seconds is None:
        assert found.reason
    elif found.epoch is not None and not all(points[-1].met):
        assert points[-1].epoch < found.epoch <= 50
        assert found.low_s is not None
        assert 0 <= found.low_s <= found.seconds <= (found.high_s or math.inf)
