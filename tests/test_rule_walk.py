"""Random histories of the rules: no hang, no second verdict, no double launch, no control that claims, and a replay
that is identical. The long form is in tests/chaos."""

from __future__ import annotations

from typing import get_args

import pytest

from rule_walk import Walk, played
from wtrace.race import events as ev

HISTORIES, STEPS = 250, 60
NOT_PLAYED = {
    "JudgeFilesFixed", "DataReported", "SampleIdsFixed", "SampleIdsMissing", "SettlingAsked", "SetupSkipped",
    "MachineFound", "WorkerRefused", "ConfirmationQueued", "ConfirmationBegan", "SavingSeen", "Noticed",
}  # fmt: skip
"""Events that say something about a race, and change nothing of what these histories are about."""


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [played(seed, STEPS) for seed in range(HISTORIES)]


def test_no_history_of_the_rules_hangs_or_does_anything_twice(walks: list[Walk]) -> None:
    """Each has been played to its end, and looked at after every event."""
    assert {walk.state.outcome for walk in walks} == {"won", "no_winner", "stopped"}
    won = [walk for walk in walks if walk.state.verdict is not None]
    assert len(won) > HISTORIES / 4
    assert sum(walk.is_replayed for walk in won) > HISTORIES / 20


def test_histories_hold_every_kind_of_event(walks: list[Walk]) -> None:
    """What never happens in a history is not tried by it."""
    happened = {type(event) for walk in walks for event in walk.journal}
    assert {kind.__name__ for kind in set(get_args(ev.Event)) - happened} <= NOT_PLAYED
