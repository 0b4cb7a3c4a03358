"""How many workers that would win are ended too early, by how many of their claims may be refuted: simulated.

Each worker's true value climbs past the threshold in the course of its checks. A check sees it with the noise of the
validation data, a confirmation with that of the held-out data; the worker that passes by luck first is refuted.
"""

from __future__ import annotations

import random

import pytest

from test_core_race import HELD_OUT, MISSED, confirmation, confirming
from wtrace.race.phases import Running

RACES, CHECKS, NOISE = 300, 20, 0.1


def ended_too_early(attempts: int, dice: random.Random) -> bool:
    """Whether one worker that climbs from half of the threshold's distance below to as much above is ended before it wins."""
    race = confirming("a", attempts=attempts, check_every=1, max_epochs=CHECKS)
    for epoch in range(1, CHECKS + 1):
        if race.winner() is not None or not isinstance(race.state.workers["a"].phase, Running):
            break
        truth = 1.5 + 0.5 * (2 * epoch / CHECKS - 1)
        race.check("a", epoch, ratio=dice.gauss(truth, NOISE))
        if any(claim.trying_since is not None for claim in race.state.claims):
            confirmation(race, HELD_OUT if dice.gauss(truth, NOISE) >= 1.5 else MISSED)
    return race.winner() is None


def share_ended_too_early(attempts: int) -> float:
    dice = random.Random(7)
    return sum(ended_too_early(attempts, dice) for _ in range(RACES)) / RACES


@pytest.mark.parametrize(("attempts", "least", "most"), [(1, 0.25, 0.65), (3, 0.0, 0.08)])
def test_three_attempts_end_few_of_those_who_would_win(attempts: int, least: float, most: float) -> None:
    assert least <= share_ended_too_early(attempts) <= most
