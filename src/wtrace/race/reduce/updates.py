"""What several rules do: change one worker of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race.phases import Ended, Retrying, Running, SettingUp, Waiting

if TYPE_CHECKING:
    from typing import Any

    from wtrace.race.state import State, Worker
    from wtrace.race.status import WorkerState


def change(state: State, name: str, **changes: Any) -> State:
    return replace(state, workers={**state.workers, name: replace(state.workers[name], **changes)})


def change_running(state: State, name: str, **changes: Any) -> State:
    phase = state.workers[name].phase
    return change(state, name, phase=replace(phase, **changes)) if isinstance(phase, Running) else state


def has_won(state: State, name: str) -> bool:
    return state.verdict is not None and state.verdict.worker == name


def leave_unstarted(worker: Worker, at: float, note: str) -> Worker:
    """A worker that has no process needs no signal to end."""
    match worker.phase:
        case Waiting() | SettingUp(done=True):
            return replace(worker, phase=Ended("skipped", at), note=f"never started: {note}")
        case _:
            return leave_unretried(worker, at, "failed", f"not retried: {note}")


def leave_unretried(worker: Worker, at: float, outcome: WorkerState, note: str | None) -> Worker:
    """A worker that waits for a retry has ended as this; any other is left as it is."""
    phase = worker.phase
    if not isinstance(phase, Retrying):
        return worker
    return replace(worker, phase=Ended(outcome, at, phase.attempt, phase.exit), ended=at, note=note)
