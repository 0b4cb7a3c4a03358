"""Races between workers none of which is better than the margin: whoever wins one has won by luck.

bench/promise.py plays 1,000 of them for each setting; here are fewer, event by event, with a bound that fits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from test_core_race import Story, spec
from wtrace.config.language.criteria import parse_criterion
from wtrace.config.schedule import divisor, planned_epochs
from wtrace.config.spec import Correction, JudgeSpec, RaceSpec
from wtrace.judging import referee
from wtrace.race import events as ev

CLIPS, MARGIN, RACES = 20, 1.3, 150
ALLOWED = int(scipy.stats.binom.ppf(0.999, RACES, 0.01))  # 6 of 150: more come once in a thousand


def race_of(correction: Correction) -> RaceSpec:
    """Four workers, ten checks each, and the criterion on p alone."""
    criterion = parse_criterion("separation", f"p_greater(persistent, transient, {MARGIN}) < 0.01")
    return spec("a", "b", "c", "d", success=(criterion,), judge=JudgeSpec(correction=correction))


def winner(race: RaceSpec, rng: np.random.Generator, better: dict[str, float] | None = None) -> str | None:
    """Play one race to its verdict or its last check. A clip's log ratios are independent at every check."""
    story = Story(race)
    story.start_all()
    looks = divisor(race)
    for epoch in planned_epochs(race.check_every, race.max_epochs):
        for name in story.spec_names():
            ratios = MARGIN * np.exp(rng.normal((better or {}).get(name, 0.0), 0.3, CLIPS))
            samples = {"persistent": ratios.tolist(), "transient": [1.0] * CLIPS}
            results = referee.judge(race.success, {}, samples, divisor=looks)
            story.note(ev.CheckJudged(story.now, name, 1, epoch, results))
            story.settle()
            if story.winner() is not None:
                return story.winner()
    return None


@pytest.fixture(scope="module")
def wins() -> dict[str, int]:
    """How many of the races have a winner, by the correction."""
    return {
        correction: sum(
            winner(race_of(correction), np.random.default_rng([7, n])) is not None for n in range(RACES)
        )
        for correction in ("bonferroni", "none")
    }


def test_a_race_between_null_workers_has_a_winner_no_more_often_than_promised(wins: dict[str, int]) -> None:
    assert wins["bonferroni"] <= ALLOWED


def test_without_the_correction_the_promise_would_be_broken(wins: dict[str, int]) -> None:
    """So the test above can fail: these races are hard enough for it."""
    assert wins["none"] > 5 * ALLOWED


def test_a_worker_that_is_better_wins_all_the_same() -> None:
    found = [winner(race_of("bonferroni"), np.random.default_rng([8, n]), {"c": 0.5}) for n in range(20)]
    assert found.count("c") >= 18


def test_a_control_has_no_share_in_the_correction_and_cannot_win() -> None:
    race = race_of("bonferroni")
    workers = tuple(replace(each, control=each.name == "c") for each in race.workers)
    controlled = replace(race, workers=workers)
    assert (divisor(race), divisor(controlled)) == (40, 30)
    assert winner(controlled, np.random.default_rng(9), {"c": 2.0}) in (None, "a", "b", "d")
