"""The chance that a worker may still succeed, and what follows from a lost one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from race_lab import Lab
from test_core_forecast import LOSS, RATIO, P, curve
from test_core_race import Story, spec, with_worker
from wtrace.config.spec import ConfirmSpec, JudgeSpec, RaceSpec
from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding
from wtrace.judging.early_stop import beyond, chance, chance_left, may_be_told
from wtrace.race import events as ev
from wtrace.race import policy
from wtrace.race.phases import Ended, Running


def told(points: list[CheckSummary], *criteria: CriterionInfo, max_epochs: int = 50) -> float:
    found = chance(points, criteria, check_every=5, max_epochs=max_epochs)
    assert found is not None
    return found


FLAT = [1.00, 1.02, 0.99, 1.01, 1.00, 1.02]
CLIMBING = [1.00, 1.07, 1.11, 1.17, 1.19, 1.26]


def test_a_flat_curve_has_little_chance_and_a_climbing_one_a_good_one() -> None:
    assert told(curve(*FLAT), RATIO) < 0.02
    assert told(curve(*CLIMBING), RATIO, max_epochs=70) > 0.8
    down = CriterionInfo("x", "x <= -1.5", "<=", -1.5, -1.5)
    assert told(curve(*[-value for value in CLIMBING]), down, max_epochs=70) > 0.8


def test_a_steady_climb_that_comes_too_late_has_less_chance_than_one_in_time() -> None:
    assert told(curve(*CLIMBING), RATIO, max_epochs=35) < told(curve(*CLIMBING), RATIO) / 2


def test_a_few_checks_in_a_row_rule_nothing_out() -> None:
    """Four checks whose noise is a tenth of what is missing: the tails are Student's, not normal."""
    assert told(curve(1.00, 1.05, 1.00, 1.05), RATIO) > 0.02


def test_a_training_that_has_just_begun_to_take_off_is_given_time() -> None:
    """A recorded accuracy: its longer trend leads nowhere, its latest one does, and at epoch 10 it was there."""
    points = curve(0.575, 0.573, 0.58, 0.58, 0.59, 0.62, every=1)
    goal = CriterionInfo("accuracy", "mean(accuracy) >= 0.9", ">=", 0.9, 0.9)
    found = chance(points, [goal], check_every=1, max_epochs=12)
    assert found is not None
    assert found > 0.05


def test_the_least_criterion_counts() -> None:
    points = [
        CheckSummary(5 * (i + 1), 0.0, (flat, 0.15 + flat / 100), (False, True))
        for i, flat in enumerate(FLAT)
    ]
    assert told(points, RATIO, LOSS) == pytest.approx(told(curve(*FLAT), RATIO))


def test_what_does_not_vary_or_is_a_p_value_says_nothing() -> None:
    """A training that has not begun to learn, and a p value that stays at 1 until the ratio is near the margin."""
    assert chance(curve(0.5, 0.5, 0.5, 0.5, 0.5), [RATIO], check_every=5, max_epochs=50) is None
    assert chance(curve(1.0, 0.999, 1.0, 0.998, 1.0), [P], check_every=5, max_epochs=50) is None
    assert chance(curve(None, None, 1.0, 1.1), [RATIO], check_every=5, max_epochs=50) is None


def test_too_few_checks_say_nothing_and_with_none_left_nobody_is_ended() -> None:
    assert chance(curve(*FLAT[:3]), [RATIO], check_every=5, max_epochs=50) is None
    assert chance(curve(*FLAT), [RATIO], check_every=5, max_epochs=30) is None


@pytest.mark.parametrize(
    ("judged", "planned", "may"),
    [(3, 6, False), (4, 6, True), (7, 12, False), (8, 12, True), (6, 10, False), (7, 10, True)],
)
def test_a_worker_is_not_ended_before_four_checks_and_two_thirds_of_the_planned(
    judged: int, planned: int, may: bool
) -> None:
    assert may_be_told(judged, planned) is may


@given(st.floats(-50, 50))
def test_beyond_is_students_tail_with_two_degrees_of_freedom(t: float) -> None:
    assert beyond(t) == pytest.approx(scipy.stats.t.sf(t, 2), abs=1e-12)


def test_a_chance_is_seldom_told_too_low() -> None:
    """Straight curves with noise, some of which get there: of those given less than 5 %, at most 5 % do."""
    rng = random.Random(5)
    low = passed = 0
    for _ in range(1500):
        slope = rng.uniform(0.0, 0.08)
        values = [1.0 + slope * i + rng.gauss(0, 0.03) for i in range(10)]
        found = chance(curve(*values[:6]), [RATIO], check_every=5, max_epochs=50)
        if found is not None and found < 0.05:
            low += 1
            passed += max(values[6:]) >= 1.5
    assert low > 200
    assert passed <= 0.05 * low


# What follows from it: rules of the race


def hopeless_race(*names: str, below: float = 0.05, **changes: object) -> RaceSpec:
    return spec(*names, hopeless_below=below, **changes)


def play(race: Story, name: str, ratios: list[float] = FLAT, checks: int = 7) -> None:
    for index in range(checks):
        race.check(name, 5 * (index + 1), ratios[index % len(ratios)])


def test_a_worker_without_a_chance_is_ended_and_its_place_goes_to_one_that_waits() -> None:
    race = Story(hopeless_race("a", "b", max_parallel=1))
    race.start_all()
    play(race, "a", checks=6)
    assert isinstance(race.state.workers["a"].phase, Running)  # six of ten planned checks are too few
    play(race, "a")
    assert [deed for deed in race.deeds if isinstance(deed, policy.Stop)] == [policy.Stop("a", 1, "hopeless")]
    found = next(event for event in race.journal if isinstance(event, ev.WorkerFoundHopeless))
    assert found.checks >= 5
    assert found.chance < 0.05
    race.exited("a", code=None, signal=15)
    assert race.outcome("a") == "terminated"
    assert "chance of success of" in (race.state.workers["a"].note or "")
    assert any("chance of success of" in happening.text for happening in race.state.happenings)
    race.started("b")
    race.check("b", 5, ratio=1.6)
    assert race.winner() == "b"
    assert "chance" in (race.state.workers["a"].note or "")  # not beaten: it was ended before


def test_without_the_key_nobody_is_ended() -> None:
    race = Story(spec("a"))
    race.start_all()
    play(race, "a")
    assert isinstance(race.state.workers["a"].phase, Running)
    assert race.state.workers["a"].chance is None


def test_a_control_and_a_worker_with_a_chance_are_not_ended() -> None:
    race = Story(with_worker(hopeless_race("a", "b"), "a", control=True))
    race.start_all()
    play(race, "a")
    play(race, "b", CLIMBING)
    assert all(isinstance(race.state.workers[name].phase, Running) for name in "ab")


def test_a_claimant_is_waited_for() -> None:
    race = Story(hopeless_race("a", below=1.0, confirm=ConfirmSpec(("judge",), attempts=2)))
    race.start_all()
    play(race, "a", [1.00, 1.02, 1.6, 1.01, 1.00, 1.02])
    assert race.state.is_confirming("a")
    assert (race.state.workers["a"].chance or 1.0) < 1.0
    assert isinstance(race.state.workers["a"].phase, Running)


def test_after_the_verdict_nobody_is_given_up() -> None:
    """Who asked for everybody to run to the end wants to see the end."""
    race = Story(hopeless_race("a", "b", below=1.0, judge=JudgeSpec(stop_at_first=False)))
    race.start_all()
    play(race, "a", checks=6)
    race.check("b", 5, ratio=1.6)
    race.check("a", 35, ratio=1.0)
    assert (race.state.workers["a"].chance or 1.0) < 1.0
    assert isinstance(race.state.workers["a"].phase, Running)


def test_one_that_was_given_up_was_not_beaten_by_who_won_meanwhile() -> None:
    race = Story(hopeless_race("a", "b"))
    race.start_all()
    play(race, "a")
    race.check("b", 5, ratio=1.6)
    race.exited("a", code=None, signal=15)
    assert race.outcome("a") == "terminated"
    assert (race.state.workers["a"].note or "").startswith("ended early: it has a chance")


def test_when_all_are_without_a_chance_the_race_is_over() -> None:
    race = Story(hopeless_race("a"))
    race.start_all()
    play(race, "a")
    race.exited("a", code=0)
    assert race.over() == "no_winner"
    assert isinstance(race.state.workers["a"].phase, Ended)


def test_checks_that_are_forgotten_count_too() -> None:
    """A row keeps its latest 32 checks; two thirds of 100 planned ones are more."""
    race = hopeless_race("a", check_every=1, max_epochs=100)
    points = [
        replace(p, values=(p.values[0], 0.9), met=(False, True)) for p in curve(*(FLAT * 6)[:32], every=1)
    ]
    results = tuple(CriterionStanding(c.name, 0.0, c.op, c.threshold, met=False) for c in race.success)
    assert chance_left(race, "a", points, 66, results) is None
    assert chance_left(race, "a", points, 67, results) is not None


def test_a_real_worker_without_a_chance_is_ended_and_the_next_one_wins(lab: Lab) -> None:
    flat: list[list[Any]] = [["check", 5 * (i + 1), ratio] for i, ratio in enumerate([*FLAT, 1.01])]
    lab.race(
        {"a": [*flat, ["forever"]], "b": [["check", 5, 1.6], ["forever"]]},
        race="max_parallel = 1",
        extra="[stop]\nhopeless_below = 0.05",
    )
    done = lab.wtrace("run")
    assert "a has a chance" in done.stdout
    assert "a is being ended: it has no chance left" in done.stdout
    assert (lab.worker("a")["state"], lab.worker("b")["state"]) == ("terminated", "won")
    assert "ended early: it has a chance" in (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
