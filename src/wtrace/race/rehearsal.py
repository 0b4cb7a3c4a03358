"""A race's end, played in advance: on a state that nobody keeps, so that nothing of it is done for the first time later.

Classes compile what they need at their first value (`core.data`), encoders look at a type when they first meet it. That
is a millisecond or two, and they would be spent between the winning line and the losers' signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.judging.checks import CriterionStanding
from wtrace.race import events as ev
from wtrace.race.phases import Launching, Running
from wtrace.race.policy import conclude, decide, intent
from wtrace.race.reduce import evolve

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec
    from wtrace.race.state import State


def rehearse(state: State, now: float) -> list[ev.Event]:
    """What would happen if everybody ran, and the first who may claim won now; empty where nobody may."""
    noted: list[ev.Event] = []

    def note(event: ev.Event) -> None:
        nonlocal state
        state = evolve(state, event)
        noted.append(event)

    for name, worker in state.workers.items():
        if isinstance(worker.phase, Launching):
            note(ev.WorkerStarted(now, name, worker.phase.attempt, 1, ""))
    run = (each for each in state.spec.workers if isinstance(state.workers[each.name].phase, Running))
    winner = next((each.name for each in run if not each.control), None)
    if winner is None or state.verdict is not None or state.outcome is not None:
        return []
    epoch = state.workers[winner].epoch + 1
    note(ev.LinesRead(now, winner, 1, 0, epoch, None, None))
    note(ev.CheckJudged(now, winner, 1, epoch, all_met(state.spec)))
    note(ev.ClaimMade(now, winner, epoch, len(state.claims) + 1, None))
    note(ev.VerdictReached(now, winner, epoch, confirmed=False))
    if (fact := conclude(state, now)) is not None:
        note(fact)
    for action in decide(state, now):
        if (event := intent(action, now)) is not None:
            note(event)
    return noted


def all_met(spec: RaceSpec) -> tuple[CriterionStanding, ...]:
    """Every criterion, exactly met."""
    return tuple(
        CriterionStanding(each.name, each.threshold, each.op, each.threshold, met=True)
        for each in spec.success
    )
