"""How a state changes while workers are prepared and started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race import events as ev
from wtrace.race.phases import Ended, Launching, Retrying, Running, SettingUp, Stopping
from wtrace.race.reduce.updates import change
from wtrace.race.status import ExitStanding
from wtrace.race.whole import Ending

if TYPE_CHECKING:
    from wtrace.race.state import State


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
        reported=False,
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
