"""A race as the sum of what happened: `evolve(state, event) -> state`.

A worker is in one phase at a time, and each phase carries only what is true in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wtrace.core import events as ev
from wtrace.core import retry
from wtrace.core.standing import CheckPoint, ExitStanding, Happening, finite
from wtrace.core.telling import tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wtrace.core.spec import RaceSpec, WorkerSpec
    from wtrace.core.standing import CriterionStanding, WorkerState

RECENT_CHECKS = 32
RECENT_HAPPENINGS = 40


@dataclass(frozen=True, slots=True)
class Waiting:
    """Never started; waits for its turn."""


@dataclass(frozen=True, slots=True)
class Launching:
    """The runner has been asked, or is about to be."""

    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class Running:
    """Its process lives. `heard` is when it last reported (or started)."""

    attempt: int
    since: float
    pid: int | None
    handle: str
    heard: float
    stalled: bool = False
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Stopping:
    """It is being ended."""

    attempt: int
    since: float
    pid: int | None
    handle: str
    asked: float
    cause: ev.StopCause


@dataclass(frozen=True, slots=True)
class Retrying:
    """It crashed and will be started again."""

    attempt: int  # the one that crashed
    not_before: float
    exit: ExitStanding


@dataclass(frozen=True, slots=True)
class Ended:
    """It will not run again."""

    outcome: WorkerState
    at: float
    attempt: int = 0
    exit: ExitStanding | None = None


Phase = Waiting | Launching | Running | Stopping | Retrying | Ended
ALIVE = (Launching, Running, Stopping)


@dataclass(frozen=True, slots=True)
class Worker:
    """What is known of one worker."""

    phase: Phase = field(default_factory=Waiting)
    epoch: int = 0
    lines: int = 0
    bad_lines: int = 0
    checks: int = 0
    judged: int = 0  # one bit per judged epoch
    results: tuple[CriterionStanding, ...] = ()
    streaks: tuple[int, ...] = ()  # how often each criterion held in a row, up to the latest check
    recent: tuple[CheckPoint, ...] = ()
    best: CheckPoint | None = None
    started: float | None = None
    ended: float | None = None
    note: str | None = None
    reported: bool = False  # the running attempt has sent a line
    stop_asked: bool = False

    def has_judged(self, epoch: int) -> bool:
        """Whether a check of that epoch has been judged already."""
        return bool(self.judged >> epoch & 1)


@dataclass(frozen=True, slots=True)
class Due:
    """A check that met every criterion."""

    worker: str
    epoch: int
    checkpoint: str | None


@dataclass(frozen=True, slots=True)
class State:
    """A race at one moment."""

    spec: RaceSpec
    started: float
    workers: Mapping[str, Worker]
    supervisor_pid: int | None = None
    due: tuple[
        Due, ...
    ] = ()  # checks that met every criterion and have not become claims yet, as they arrived
    claims: tuple[ev.ClaimMade, ...] = ()
    verdict: ev.VerdictReached | None = None
    stop_asked: bool = False
    outcome: ev.RaceOutcome | None = None
    ended: float | None = None
    sample_ids: str | None = None
    happenings: tuple[Happening, ...] = ()

    def is_over_for(self, worker: str) -> bool:
        """Whether the race asks this worker to leave, or not to start at all."""
        beaten = self.verdict is not None and self.spec.judge.stop_at_first
        return beaten or self.stop_asked or self.workers[worker].stop_asked


def begin(spec: RaceSpec, at: float) -> State:
    """A race that has just been created: everybody waits."""
    return State(spec=spec, started=at, workers={worker.name: Worker() for worker in spec.workers})


def evolve(state: State, event: ev.Event) -> State:
    """The state after the event. Pure; unknown workers are a programming error (KeyError)."""
    state = _RULES[type(event)](state, event)
    text = tell(event)
    if text is None:
        return state
    told = (*state.happenings[-RECENT_HAPPENINGS + 1 :], Happening(event.at, text))
    return replace(state, happenings=told)


def _change(state: State, name: str, **changes: Any) -> State:
    return replace(state, workers={**state.workers, name: replace(state.workers[name], **changes)})


def _supervisor_started(state: State, event: ev.SupervisorStarted) -> State:
    """A worker is not silent while nobody listens: a new supervisor begins to count anew."""
    workers = {
        name: replace(worker, phase=replace(worker.phase, heard=event.at))
        if isinstance(worker.phase, Running)
        else worker
        for name, worker in state.workers.items()
    }
    return replace(state, supervisor_pid=event.pid, workers=workers)


def _worker_launched(state: State, event: ev.WorkerLaunched) -> State:
    return _change(
        state,
        event.worker,
        phase=Launching(event.attempt, event.at),
        started=event.at,
        ended=None,
        reported=False,
    )


def _worker_started(state: State, event: ev.WorkerStarted) -> State:
    phase = Running(event.attempt, event.at, event.pid, event.handle, heard=event.at)
    return _change(state, event.worker, phase=phase, started=event.at)


def _lines_read(state: State, event: ev.LinesRead) -> State:
    worker = state.workers[event.worker]
    phase = worker.phase
    if isinstance(phase, Running) and event.lines > event.bad_lines:
        phase = replace(phase, heard=event.at)
    note = worker.note
    if event.first_bad is not None and worker.bad_lines == 0:
        note = f"a metrics line cannot be used: {event.first_bad}"
    return _change(
        state,
        event.worker,
        phase=phase,
        lines=worker.lines + event.lines,
        bad_lines=worker.bad_lines + event.bad_lines,
        epoch=max(worker.epoch, event.epoch),
        note=note,
        reported=worker.reported or event.lines > event.bad_lines,
    )


def _sample_ids_fixed(state: State, event: ev.SampleIdsFixed) -> State:
    return replace(state, sample_ids=event.digest)


def _check_judged(state: State, event: ev.CheckJudged) -> State:
    worker = state.workers[event.worker]
    criteria = state.spec.success
    before = worker.streaks or (0,) * len(criteria)
    streaks = tuple(n + 1 if result.met else 0 for n, result in zip(before, event.results, strict=True))
    holds = all(n >= criterion.for_checks for n, criterion in zip(streaks, criteria, strict=True))
    may_claim = not state.spec.worker(event.worker).control and not state.is_over_for(event.worker)
    point = CheckPoint(
        event.epoch, event.at, tuple(r.value for r in event.results), tuple(r.met for r in event.results)
    )
    if holds and may_claim:
        state = replace(state, due=(*state.due, Due(event.worker, event.epoch, event.checkpoint)))
    return _change(
        state,
        event.worker,
        epoch=max(worker.epoch, event.epoch),
        checks=worker.checks + 1,
        judged=worker.judged | 1 << event.epoch,
        results=event.results,
        streaks=streaks,
        recent=(*worker.recent[-RECENT_CHECKS + 1 :], point),
        best=better(worker.best, point, criteria[0].op),
    )


def better(best: CheckPoint | None, point: CheckPoint, op: str) -> CheckPoint:
    """The check that met more criteria; ties go to the better value of the first criterion, then to the earlier."""
    if best is None or sum(point.met) > sum(best.met):
        return point
    old, new = finite(best.values[0]), finite(point.values[0])
    if sum(point.met) < sum(best.met) or new is None:
        return best
    if old is None or (new > old if op.startswith(">") else new < old):
        return point
    return best


def _claim_made(state: State, event: ev.ClaimMade) -> State:
    return replace(state, claims=(*state.claims, event), due=state.due[1:])


def _verdict_reached(state: State, event: ev.VerdictReached) -> State:
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
    return _leave_unstarted(worker, verdict.at, f"beaten by {verdict.worker}")


def _leave_unstarted(worker: Worker, at: float, note: str) -> Worker:
    """A worker that has no process needs no signal to end."""
    match worker.phase:
        case Waiting():
            return replace(worker, phase=Ended("skipped", at), note=f"never started: {note}")
        case Retrying(attempt=attempt, exit=exit_):
            return replace(
                worker, phase=Ended("failed", at, attempt, exit_), ended=at, note=f"not retried: {note}"
            )
        case _:
            return worker


def _stop_asked(state: State, event: ev.StopAsked) -> State:
    named = event.workers or tuple(state.workers)
    workers = dict(state.workers)
    for name in named:
        asked = replace(workers[name], stop_asked=True)
        workers[name] = _leave_unstarted(asked, event.at, f"stopped by {event.by}")
    return replace(state, workers=workers, stop_asked=state.stop_asked or not event.workers)


def _worker_stalled(state: State, event: ev.WorkerStalled) -> State:
    return _change_running(state, event.worker, stalled=True)


def _worker_recovered(state: State, event: ev.WorkerRecovered) -> State:
    return _change_running(state, event.worker, stalled=False, heard=event.at)


def _worker_paused(state: State, event: ev.WorkerPaused) -> State:
    return _change_running(state, event.worker, paused=True, stalled=False)


def _worker_unpaused(state: State, event: ev.WorkerUnpaused) -> State:
    return _change_running(state, event.worker, paused=False, heard=event.at)


def _change_running(state: State, name: str, **changes: Any) -> State:
    phase = state.workers[name].phase
    return _change(state, name, phase=replace(phase, **changes)) if isinstance(phase, Running) else state


def _worker_stopping(state: State, event: ev.WorkerStopping) -> State:
    phase = state.workers[event.worker].phase
    assert isinstance(phase, Launching | Running)
    pid, handle = (phase.pid, phase.handle) if isinstance(phase, Running) else (None, "")
    return _change(
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
}


def _worker_exited(state: State, event: ev.WorkerExited) -> State:
    worker = state.workers[event.worker]
    exit_ = ExitStanding(event.code, event.signal, event.known)
    phase = _phase_after_exit(state, event, exit_)
    note = _note_after_exit(state, event, phase) or worker.note
    return _change(state, event.worker, phase=phase, ended=event.at, note=note)


def _phase_after_exit(state: State, event: ev.WorkerExited, exit_: ExitStanding) -> Phase:
    worker, spec = state.workers[event.worker], state.spec.worker(event.worker)
    restart = retry.not_before(worker, event, _restarts_left(state, spec, event.attempt))
    if restart is not None and not state.is_over_for(event.worker) and not _has_won(state, event.worker):
        return Retrying(event.attempt, restart, exit_)
    return Ended(_outcome(state, event), event.at, event.attempt, exit_)


def _has_won(state: State, name: str) -> bool:
    return state.verdict is not None and state.verdict.worker == name


def _restarts_left(state: State, spec: WorkerSpec, attempt: int) -> int:
    budget = state.spec.retries_of(spec)
    phase = state.workers[spec.name].phase
    if isinstance(phase, Stopping) and phase.cause == "stalled":
        budget = max(budget, 1) if state.spec.on_stall == "restart" else 0
    return budget - (attempt - 1)


def _outcome(state: State, event: ev.WorkerExited) -> WorkerState:
    phase = state.workers[event.worker].phase
    if _has_won(state, event.worker):
        return "won"
    if isinstance(phase, Stopping):
        return _OUTCOME_OF_CAUSE[phase.cause]
    if not event.known:
        return "lost" if event.reason is None else "failed"
    return "finished" if event.code == 0 else "failed"


def _note_after_exit(state: State, event: ev.WorkerExited, phase: Phase) -> str | None:
    if isinstance(phase, Ended) and phase.outcome == "terminated" and state.verdict is not None:
        return f"beaten by {state.verdict.worker}"
    if isinstance(phase, Retrying) or (isinstance(phase, Ended) and phase.outcome in ("failed", "lost")):
        return event.reason or event.last_words
    return None


def _race_ended(state: State, event: ev.RaceEnded) -> State:
    return replace(state, outcome=event.outcome, ended=event.at)


def _noticed(state: State, event: ev.Noticed) -> State:
    return state if event.worker is None else _change(state, event.worker, note=event.text)


_RULES: Mapping[type, Callable[[State, Any], State]] = {
    ev.SupervisorStarted: _supervisor_started,
    ev.WorkerLaunched: _worker_launched,
    ev.WorkerStarted: _worker_started,
    ev.LinesRead: _lines_read,
    ev.SampleIdsFixed: _sample_ids_fixed,
    ev.CheckJudged: _check_judged,
    ev.ClaimMade: _claim_made,
    ev.VerdictReached: _verdict_reached,
    ev.WorkerStalled: _worker_stalled,
    ev.WorkerRecovered: _worker_recovered,
    ev.WorkerPaused: _worker_paused,
    ev.WorkerUnpaused: _worker_unpaused,
    ev.StopAsked: _stop_asked,
    ev.WorkerStopping: _worker_stopping,
    ev.WorkerExited: _worker_exited,
    ev.RaceEnded: _race_ended,
    ev.Noticed: _noticed,
}
