"""The forecast: straight curves by hand, wild ones by property, the fit against scipy."""

from __future__ import annotations

import math
import random

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wtrace.core import forecast
from wtrace.core.forecast import Estimate, describe, trend
from wtrace.core.standing import CheckPoint, CriterionInfo

RATIO = CriterionInfo("ratio", "mean(a) / mean(b) >= 1.5", ">=", 1.5, 1.5)
LOSS = CriterionInfo("loss", "loss <= 0.2", "<=", 0.2, 0.2)
P = CriterionInfo("separation", " (p_greater(a, b, 1.3)) < 0.01", "<", 0.01, 1e-4)


def curve(*values: float | None, every: int = 5, pace_s: float = 60.0, met: bool = False) -> list[CheckPoint]:
    return [
        CheckPoint(epoch=every * (i + 1), at=1000.0 + every * i * pace_s, values=(value,), met=(met,))
        for i, value in enumerate(values)
    ]


def both(*pairs: tuple[float, float], met: tuple[bool, bool] = (False, False)) -> list[CheckPoint]:
    return [CheckPoint(5 * (i + 1), 1000.0 + 300 * i, pair, met) for i, pair in enumerate(pairs)]


def estimated(
    points: list[CheckPoint], *criteria: CriterionInfo, max_epochs: int = 50, later_s: float = 0
) -> Estimate:
    return forecast.estimate(
        points, criteria, check_every=5, max_epochs=max_epochs, now=points[-1].at + later_s if points else 0.0
    )


def test_a_straight_line_arrives_when_it_arrives() -> None:
    """0.1 per check of 5 minutes from 1.2 at epoch 15: 1.5 at epoch 30, after 15 minutes."""
    assert estimated(curve(1.0, 1.1, 1.2), RATIO) == Estimate(900.0, 900.0, 900.0, epoch=30.0)
    assert estimated(curve(1.0, 1.1, 1.2), RATIO, later_s=120) == Estimate(780.0, 780.0, 780.0, epoch=30.0)
    assert estimated(curve(0.5, 0.4, 0.35), LOSS).epoch == 25.0


def test_it_arrives_at_planned_checks_only() -> None:
    assert estimated(curve(1.0, 1.12, 1.24), RATIO).epoch == 30.0  # the line is there at epoch 25.8
    assert estimated(curve(1.0, 1.1, 1.2), RATIO, max_epochs=28).reason == "not on this trend"
    assert (
        estimated(curve(1.0, 1.14, 1.28), RATIO, max_epochs=23).epoch == 23.0
    )  # the last epoch is planned too


def test_a_line_that_should_be_there_already_arrives_with_the_next_check() -> None:
    assert estimated(curve(1.0, 1.6, 1.49), RATIO) == Estimate(300.0, 300.0, None, epoch=20.0)


def test_p_values_are_fitted_by_their_logarithm_against_the_corrected_threshold() -> None:
    assert estimated(curve(1e-1, 10**-1.5, 1e-2), P).epoch == 35.0
    assert estimated(curve(1e-1, 1e-2, 0.0), P).epoch == 20.0


def test_the_slowest_criterion_decides() -> None:
    assert estimated(both((1.0, 0.5), (1.1, 0.45), (1.2, 0.4)), RATIO, LOSS).epoch == 35.0
    assert estimated(both((1.0, 0.1), (1.1, 0.2), (1.2, 0.1), met=(False, True)), RATIO, LOSS).epoch == 30.0


def test_why_there_is_no_estimate() -> None:
    assert estimated([], RATIO).reason == "fewer than 3 checks"
    assert estimated(curve(1.0, 1.1), RATIO).reason == "fewer than 3 checks"
    assert estimated(curve(1.0, None, math.nan, 1.1), RATIO).reason == "fewer than 3 values of ratio"
    assert estimated(curve(1.2, 1.1, 1.0), RATIO).reason == "not on this trend"
    assert estimated(curve(1.0, 1.0, 1.0), RATIO).reason == "not on this trend"
    assert estimated(curve(1.0, 1.01, 1.02), RATIO).reason == "not on this trend"
    assert estimated(curve(1.0, 1.1, 1.2), RATIO, max_epochs=15).reason == "no check is left"
    assert estimated(curve(1.0, 1.1, 1.2, pace_s=0.0), RATIO).reason == "the pace is not known"
    for points in (curve(1.0, 1.1), curve(1.2, 1.1, 1.0)):
        assert estimated(points, RATIO).seconds is None


def test_what_holds_already_needs_no_time() -> None:
    assert estimated(curve(1.5, 1.6, 1.7, met=True), RATIO) == Estimate(0.0, 0.0, 0.0, epoch=15.0)


def test_a_pause_and_a_wild_check_do_not_move_it() -> None:
    points = curve(1.0, 1.05, 1.1, 9.0, 1.2, 1.25)
    shifted = [*points[:3], *(CheckPoint(p.epoch, p.at + 1e6, p.values, p.met) for p in points[3:])]
    assert estimated(shifted, RATIO, max_epochs=100).epoch == 55.0
    assert estimated(shifted, RATIO, max_epochs=100).seconds == 1500.0


def test_a_curve_that_has_bent_away_is_not_on_its_trend() -> None:
    """Its recent checks as a whole would be there at epoch 55; its latest four stand still."""
    bent = curve(1.0, 1.1, 1.2, 1.3, 1.34, 1.35, 1.35, 1.34)
    assert estimated(bent, RATIO, max_epochs=100).reason == "not on this trend"
    assert estimated(bent[:6], RATIO, max_epochs=100).seconds is not None


def test_old_checks_are_forgotten() -> None:
    bent = curve(*[0.1 * i for i in range(10)], *[0.9 + 0.01 * i for i in range(8)])
    assert estimated(bent, RATIO, max_epochs=1000).epoch == pytest.approx(5 * (10 + 61), abs=5)


def test_the_interval_holds_the_estimate_and_grows_with_noise() -> None:
    rng = random.Random(1)
    calm = estimated(curve(*[1 + 0.02 * i + rng.gauss(0, 0.005) for i in range(8)]), RATIO, max_epochs=500)
    wild = estimated(curve(*[1 + 0.02 * i + rng.gauss(0, 0.04) for i in range(8)]), RATIO, max_epochs=500)
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
        CheckPoint,
        epoch=st.integers(0, 60),
        at=st.floats(0, 1e12),
        values=st.tuples(st.none() | st.floats(), st.none() | st.floats()),
        met=st.tuples(st.booleans(), st.booleans()),
    ),
    max_size=12,
)


@given(POINTS, st.floats(0, 1e12))
def test_no_curve_raises(points: list[CheckPoint], now: float) -> None:
    found = forecast.estimate(points, [RATIO, P], check_every=7, max_epochs=50, now=now)
    assert describe(found)
    assert trend(points, 0) in (None, "rising", "falling", "flat")
    if found.seconds is None:
        assert found.reason
    elif found.epoch is not None and not all(points[-1].met):
        assert points[-1].epoch < found.epoch <= 50
        assert found.low_s is not None
        assert 0 <= found.low_s <= found.seconds <= (found.high_s or math.inf)
