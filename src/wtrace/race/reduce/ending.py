"""How a state changes when workers halt, are ended, or end."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race import events as ev
from wtrace.race import retry
from wtrace.race.event_text import still_writing
from wtrace.race.phases import Ended, Launching, Phase, Retrying, Running, Stopping
from wtrace.race.reduce.updates import change, change_running, has_won, leave_unstarted
from wtrace.race.settling import Settling
from wtrace.race.status import ExitStanding
from wtrace.race.whole import Ending

if TYPE_CHECKING:
    from typing import Any

    from wtrace.config.spec import WorkerSpec
    from wtrace.race.state import State
    from wtrace.race.status import WorkerState


def stop_asked(state: State, event: ev.StopAsked) -> State:
    named = event.workers or tuple(state.workers)
    workers = dict(state.workers)
    for name in named:
        asked = replace(workers[name], stop_asked=True)
        workers[name] = leave_unstarted(asked, event.at, f"stopped by {event.by}")
    state = replace(state, workers=workers, stop_asked=state.stop_asked or not event.workers)
    return _without_hybrids(state, event) if state.is_stopped else state


def _without_hybrids(state: State, event: ev.StopAsked) -> State:
    """Whoever stops all whose place a hybrid would take wants no hybrid started."""
    workers = {
        name: leave_unstarted(worker, event.at, f"stopped by {event.by}")
        if state.spec.worker(name).combines and not worker.merged
        else worker
        for name, worker in state.workers.items()
    }
    return replace(state, workers=workers)


def worker_stalled(state: State, event: ev.WorkerStalled) -> State:
    return change_running(state, event.worker, stalled=True)


def worker_recovered(state: State, event: ev.WorkerRecovered) -> State:
    return change_running(state, event.worker, stalled=False, heard=event.at)


def worker_paused(state: State, event: ev.WorkerPaused) -> State:
    return change_running(state, event.worker, paused=True, stalled=False)


def worker_unpaused(state: State, event: ev.WorkerUnpaused) -> State:
    return change_running(state, event.worker, paused=False, heard=event.at)


def worker_settling(state: State, event: ev.WorkerSettling) -> State:
    settling = Settling(event.cause, event.at, event.epoch)
    state = change_running(state, event.worker, settling=settling, paused=False, stalled=False)
    if event.cause != "past_end":
        return state
    return change(state, event.worker, note=f"went on past its last planned check, epoch {event.epoch}")


def saving_seen(state: State, event: ev.SavingSeen) -> State:
    return _change_settling(state, event.worker, saving=event.file, logs=event.logs, seen=True)


def worker_settled(state: State, event: ev.WorkerSettled) -> State:
    state = _change_settling(state, event.worker, done=True)
    ending = Ending(settled=event.file is None, writing=event.file)
    state = change(state, event.worker, ending=ending)
    if event.file is None:
        return state
    return change(state, event.worker, note=still_writing(event.file, state.spec.settle_s))


def _change_settling(state: State, name: str, **changes: Any) -> State:
    phase = state.workers[name].phase
    if not isinstance(phase, Running) or phase.settling is None:
        return state
    return change_running(state, name, settling=replace(phase.settling, **changes))


def worker_stopping(state: State, event: ev.WorkerStopping) -> State:
    phase = state.workers[event.worker].phase
    assert isinstance(phase, Launching | Running)
    pid, handle = (phase.pid, phase.handle) if isinstance(phase, Running) else (None, "")
    return change(
        state,
        event.worker,
        phase=Stopping(phase.attempt, phase.since, pid, handle, event.at, event.cause),
    )


_OUTCOME_OF_CAUSE: Mapping[ev.StopCause, WorkerState] = {
    "beaten": "terminated",
    "winner": "won",
    "asked": "stopped",
    "stalled": "stopped",
    "refuted": "refuted",
    "hopeless": "terminated",
    "foreign": "failed",
    "past_end": "finished",
}


def worker_exited(state: State, event: ev.WorkerExited) -> State:
    worker = state.workers[event.worker]
    exit_ = ExitStanding(event.code, event.signal, event.known)
    phase = _phase_after_exit(state, event, exit_)
    note = _note_after_exit(state, event, phase) or worker.note
    ending = replace(
        worker.ending,
        at=event.at,
        by_itself=event.known and event.code == 0 and not event.taken,
        settled=worker.ending.settled and event.signal != signal.SIGKILL,
    )
    return change(state, event.worker, phase=phase, ended=event.at, note=note, ending=ending)


def _phase_after_exit(state: State, event: ev.WorkerExited, exit_: ExitStanding) -> Phase:
    worker, spec = state.workers[event.worker], state.spec.worker(event.worker)
    restart = retry.not_before(worker, event, _restarts_left(state, spec, event))
    leaves = _settles(worker.phase) or (
        isinstance(worker.phase, Stopping) and worker.phase.cause != "stalled"
    )
    if (
        restart is not None
        and not leaves
        and not state.is_over_for(event.worker)
        and not state.is_refuted(event.worker)
        and not has_won(state, event.worker)
    ):
        return Retrying(event.attempt, restart, exit_)
    return Ended(_outcome(state, event), event.at, event.attempt, exit_)


def _settles(phase: Phase) -> bool:
    return isinstance(phase, Running) and phase.settling is not None


def _restarts_left(state: State, spec: WorkerSpec, event: ev.WorkerExited) -> int:
    """A restart of the machine was not the worker's fault: what can go on from its checkpoints is let go on."""
    budget = state.spec.retries_of(spec)
    phase = state.workers[spec.name].phase
    if isinstance(phase, Stopping) and phase.cause == "stalled":
        budget = max(budget, 1) if state.spec.on_stall == "restart" else 0
    if event.resumable:
        budget = max(budget, event.attempt)
    return budget - (event.attempt - 1)


def _outcome(state: State, event: ev.WorkerExited) -> WorkerState:
    phase = state.workers[event.worker].phase
    if has_won(state, event.worker):
        return "won"
    if isinstance(phase, Stopping) and phase.cause != "past_end":
        return _OUTCOME_OF_CAUSE[phase.cause]
    if isinstance(phase, Stopping) or _settles(phase):
        return "refuted" if state.is_refuted(event.worker) else _OUTCOME_OF_CAUSE["past_end"]
    if event.taken:
        return "lost"
    if not event.known:
        return "lost" if event.reason is None else "failed"
    if event.code != 0:
        return "failed"
    return "refuted" if state.is_refuted(event.worker) else "finished"


def _note_after_exit(state: State, event: ev.WorkerExited, phase: Phase) -> str | None:
    before = state.workers[event.worker].phase
    if isinstance(before, Stopping) and before.cause == "beaten" and state.verdict is not None:
        return f"beaten by {state.verdict.worker}"
    if isinstance(phase, Retrying) or (isinstance(phase, Ended) and phase.outcome in ("failed", "lost")):
        return event.reason or retry.words_of(event) or (retry.REBOOTED if event.rebooted else None)
    return None


def race_ended(state: State, event: ev.RaceEnded) -> State:
    return replace(state, outcome=event.outcome, ended=event.at)


def noticed(state: State, event: ev.Noticed) -> State:
    return state if event.worker is None else change(state, event.worker, note=event.text)
