"""A race's end, played in advance: on a state that nobody keeps, so that nothing of it is done for the first time later.

Classes compile what they need at their first value (`core.data`), encoders look at a type when they first meet it. That
is a millisecond or two, and they would be spent between the winning line and the losers' signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.core import events as ev
from wtrace.core.decide import conclude, decide, intent
from wtrace.core.evolve import evolve
from wtrace.core.phases import Launching, Running
from wtrace.core.standing import CriterionStanding

if TYPE_CHECKING:
    from wtrace.core.spec import RaceSpec
    from wtrace.core.state import State


class _Play:
    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.now = now
        self.noted: list[ev.Event] = []

    def note(self, event: ev.Event) -> None:
        self.state = evolve(self.state, event)
        self.noted.append(event)

    def settle(self) -> None:
        """What follows by rule, and what would be done about it."""
        while (fact := conclude(self.state, self.now)) is not None:
            self.note(fact)
        for action in decide(self.state, self.now):
            if (event := intent(action, self.now)) is not None:
                self.note(event)


def rehearse(state: State, now: float) -> list[ev.Event]:
    """What would happen if everybody ran, and the first who may claim won now; empty where nobody may."""
    play = _Play(state, now)
    for name, worker in state.workers.items():
        if isinstance(worker.phase, Launching):
            play.note(ev.WorkerStarted(now, name, worker.phase.attempt, 1, ""))
    runs = [each for each in state.spec.workers if isinstance(play.state.workers[each.name].phase, Running)]
    winner = next((each.name for each in runs if not each.control), None)
    if winner is None or state.verdict is not None or state.outcome is not None:
        return []
    results = all_met(state.spec)
    looks = max(max(each.for_checks, each.min_checks) for each in state.spec.success)
    last = play.state.workers[winner].epoch
    for epoch in range(last + 1, last + looks + 1):
        play.note(ev.LinesRead(now, winner, 1, 0, epoch, None, None))
        play.note(ev.CheckJudged(now, winner, 1, epoch, results))
    play.settle()
    for claim in play.state.claims if state.spec.confirm is not None else ():
        play.note(ev.ConfirmationEnded(now, claim.number, claim.tries, claim.worker, results))
        play.settle()
    return play.noted


def all_met(spec: RaceSpec) -> tuple[CriterionStanding, ...]:
    """Every criterion, exactly met."""
    return tuple(
        CriterionStanding(each.name, each.threshold, each.op, each.threshold, met=True)
        for each in spec.success
    )
