"""How a state changes by claims, their confirmations, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.core import events as ev
from wtrace.core.claims import Claim
from wtrace.core.data import replace
from wtrace.core.evolution.changes import change, leave_unstarted
from wtrace.core.phases import Ended

if TYPE_CHECKING:
    from typing import Any

    from wtrace.core.state import State, Worker


def claim_made(state: State, event: ev.ClaimMade) -> State:
    claim = Claim(event.number, event.worker, event.epoch, event.checkpoint)
    return replace(state, claims=(*state.claims, claim), due=state.due[1:])


def _change_claim(state: State, number: int, **changes: Any) -> State:
    claims = tuple(replace(claim, **changes) if claim.number == number else claim for claim in state.claims)
    return replace(state, claims=claims)


def checkpoint_frozen(state: State, event: ev.CheckpointFrozen) -> State:
    return _change_claim(state, event.number, frozen=event.path, sha256=event.sha256)


def confirmation_started(state: State, event: ev.ConfirmationStarted) -> State:
    return _change_claim(state, event.number, tries=event.attempt, trying_since=event.at)


def confirmation_queued(state: State, event: ev.ConfirmationQueued) -> State:
    return _change_claim(state, event.number, waits=True)


def confirmation_began(state: State, event: ev.ConfirmationBegan) -> State:
    return _change_claim(state, event.number, waits=False, trying_since=event.at)


def confirmation_ended(state: State, event: ev.ConfirmationEnded) -> State:
    claim = state.claims[event.number - 1]
    claim = claim.after_try(event.results, event.problem)
    claims = tuple(claim if each.number == claim.number else each for each in state.claims)
    state = replace(state, claims=claims)
    if claim.status != "refuted":
        return state
    worker = state.workers[claim.worker]
    note = f"its claim at epoch {claim.epoch} was refuted: {claim.why}"
    phase = worker.phase
    if isinstance(phase, Ended) and phase.outcome == "finished" and state.is_refuted(claim.worker):
        phase = replace(phase, outcome="refuted")
    return change(state, claim.worker, note=note, phase=phase)


def verdict_reached(state: State, event: ev.VerdictReached) -> State:
    state = replace(state, verdict=event)
    workers = {name: _after_verdict(state, name, worker) for name, worker in state.workers.items()}
    return replace(state, workers=workers)


def _after_verdict(state: State, name: str, worker: Worker) -> Worker:
    verdict = state.verdict
    assert verdict is not None
    phase = worker.phase
    if name == verdict.worker:
        return replace(worker, phase=replace(phase, outcome="won") if isinstance(phase, Ended) else phase)
    if not state.spec.judge.stop_at_first:
        return worker
    return leave_unstarted(worker, verdict.at, f"beaten by {verdict.worker}")
