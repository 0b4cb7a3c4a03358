"""How a state changes while workers are prepared, started, halted and ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race import events as ev
from wtrace.race import retry
from wtrace.race.event_text import still_writing
from wtrace.race.phases import Ended, Launching, Phase, Retrying, Running, SettingUp, Stopping
from wtrace.race.reduce.updates import change, change_running, has_won, leave_unstarted
from wtrace.race.settling import Settling
from wtrace.race.status import ExitStanding
from wtrace.race.whole import Ending

if TYPE_CHECKING:
    from typing import Any

    from wtrace.config.spec import WorkerSpec
    from wtrace.race.state import State
    from wtrace.race.status import WorkerState


def supervisor_started(state: State, event: ev.SupervisorStarted) -> State:
    """A worker is not silent while nobody listens: a new supervisor begins to count anew."""
    workers = {
        name: replace(worker, phase=replace(worker.phase, heard=event.at))
        if isinstance(worker.phase, Running)
        else worker
        for name, worker in state.workers.items()
    }
    return replace(state, supervisor_pid=event.pid, workers=workers)


def machine_slept(state: State, event: ev.MachineSlept) -> State:
    """Whoever had a time to report, to confirm or to leave in has it once more as it was when the machine fell asleep."""

    def later(at: float) -> float:
        return min(event.at, at + event.slept_s)

    workers = dict(state.workers)
    for name, worker in workers.items():
        phase = worker.phase
        if isinstance(phase, Running):
            settling = phase.settling and replace(phase.settling, since=later(phase.settling.since))
            phase = replace(phase, heard=later(phase.heard), settling=settling)
            workers[name] = replace(worker, phase=phase)
        elif isinstance(phase, Stopping):
            workers[name] = replace(worker, phase=replace(phase, asked=later(phase.asked)))
    claims = tuple(
        claim if claim.trying_since is None else replace(claim, trying_since=later(claim.trying_since))
        for claim in state.claims
    )
    return replace(state, workers=workers, claims=claims)


def machine_found(state: State, event: ev.MachineFound) -> State:
    return replace(state, machine=event.machine)


def worker_refused(state: State, event: ev.WorkerRefused) -> State:
    note = f"it {event.reason}"
    return change(state, event.worker, phase=Ended("failed", event.at), ended=event.at, note=note)


def setup_started(state: State, event: ev.SetupStarted) -> State:
    phase = SettingUp(event.step, event.at)
    state = _pass_over(state, event.ahead_of)
    steps = len(state.spec.worker(event.worker).setup)
    note = f"its worktree is being set up: command {event.step} of {steps}"
    return change(
        state, event.worker, phase=phase, grant=event.grant, note=_lasting(state, event.worker) or note
    )


def _lasting(state: State, name: str) -> str | None:
    """What is noted of a worker beyond its start: what a hybrid is made of, why it is tried again."""
    worker = state.workers[name]
    return worker.note if worker.merged or isinstance(worker.phase, Retrying) else None


def _pass_over(state: State, names: Sequence[str]) -> State:
    for name in names:
        state = change(state, name, passed_over=state.workers[name].passed_over + 1)
    return state


def setup_skipped(state: State, event: ev.SetupSkipped) -> State:
    return change(state, event.worker, set_up=True)


def setup_stopping(state: State, event: ev.SetupStopping) -> State:
    phase = state.workers[event.worker].phase
    assert isinstance(phase, SettingUp)
    return change(state, event.worker, phase=replace(phase, stopping=True))


def setup_ended(state: State, event: ev.SetupEnded) -> State:
    name, worker = event.worker, state.workers[event.worker]
    if state.is_over_for(name):
        why = "stopped" if state.verdict is None else f"beaten by {state.verdict.worker}"
        note = f"never started: {why}"
        return change(state, name, phase=Ended("skipped", event.at), ended=event.at, note=note)
    if event.problem is not None:
        exit_ = ExitStanding(event.code, event.signal, event.known)
        phase = Ended("failed", event.at, exit=exit_)
        return change(state, name, phase=phase, ended=event.at, note=f"its set-up failed: {event.problem}")
    assert isinstance(worker.phase, SettingUp)
    all_done = event.step >= len(state.spec.worker(name).setup)
    told = _lasting(state, name) if all_done else worker.note
    return change(state, name, phase=replace(worker.phase, done=True), set_up=all_done, note=told)


def hybrid_made(state: State, event: ev.HybridMade) -> State:
    return change(state, event.worker, merged=True, note=event.note)


def hybrid_failed(state: State, event: ev.HybridFailed) -> State:
    return change(state, event.worker, phase=Ended("skipped", event.at), note=event.reason)


def worker_launched(state: State, event: ev.WorkerLaunched) -> State:
    return change(
        _pass_over(state, event.ahead_of),
        event.worker,
        phase=Launching(event.attempt, event.at),
        grant=event.grant,
        note=_lasting(state, event.worker),
        passed_over=0,
        started=event.at,
        ended=None,
        doing=None,
        reported=False,
        reported_epoch=0,
        lost=None,
        ending=Ending(),
    )


def worker_queued(state: State, event: ev.WorkerQueued) -> State:
    phase = state.workers[event.worker].phase
    if not isinstance(phase, Launching):
        return state
    return change(state, event.worker, phase=replace(phase, waits_for=event.text))


def worker_started(state: State, event: ev.WorkerStarted) -> State:
    phase = Running(event.attempt, event.at, event.pid, event.handle, heard=event.at)
    return change(state, event.worker, phase=phase, started=event.at)


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
    "not_finite": "failed",
    "past_end": "finished",
}


def worker_exited(state: State, event: ev.WorkerExited) -> State:
    worker = state.workers[event.worker]
    exit_ = ExitStanding(event.code, event.signal, event.known)
    phase = _phase_after_exit(state, event, exit_)
    note = _note_after_exit(event, phase) or worker.note
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


def _note_after_exit(event: ev.WorkerExited, phase: Phase) -> str | None:
    if isinstance(phase, Retrying) or (isinstance(phase, Ended) and phase.outcome in ("failed", "lost")):
        return event.reason or retry.words_of(event) or (retry.REBOOTED if event.rebooted else None)
    return None


def race_ended(state: State, event: ev.RaceEnded) -> State:
    return replace(state, outcome=event.outcome, ended=event.at)


def noticed(state: State, event: ev.Noticed) -> State:
    if event.topic is not None:
        state = replace(state, topics=state.topics | {(event.worker, event.topic)})
    return state if event.worker is None else change(state, event.worker, note=event.text)
