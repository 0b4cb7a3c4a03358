"""A race as the sum of what happened: `evolve(state, event) -> state`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from wtrace.core import events as ev
from wtrace.core import retry
from wtrace.core.chance import chance_left
from wtrace.core.claims import Claim, Due, claims_left, open_claim
from wtrace.core.contract import finite
from wtrace.core.data import data
from wtrace.core.phases import Ended, Launching, Phase, Retrying, Running, SettingUp, Stopping, Waiting
from wtrace.core.standing import CheckPoint, ExitStanding, Happening
from wtrace.core.telling import foreign_code, hopeless, tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wtrace.core.resources import Grant, Machine
    from wtrace.core.spec import RaceSpec, WorkerSpec
    from wtrace.core.standing import CriterionStanding, WorkerState

RECENT_CHECKS = 32
RECENT_HAPPENINGS = 40


@data
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
    merged: bool = False  # a hybrid whose branch has been made
    set_up: bool = False  # its worktree has been prepared
    grant: Grant | None = None  # what it was given last
    passed_over: int = 0  # how often others went ahead of it that are ranked below it
    chance: float | None = None  # that it may still succeed, where that matters and can be told
    hopeless: bool = False  # it was found to have no chance left

    def has_judged(self, epoch: int) -> bool:
        """Whether a check of that epoch has been judged already."""
        return bool(self.judged >> epoch & 1)


@data
class State:
    """A race at one moment."""

    spec: RaceSpec
    started: float
    workers: Mapping[str, Worker]
    supervisor_pid: int | None = None
    machine: Machine | None = None  # None until a supervisor looked
    due: tuple[
        Due, ...
    ] = ()  # checks that met every criterion and have not become claims yet, as they arrived
    claims: tuple[Claim, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # checksum of the data by worker, as first reported
    judge_files: Mapping[str, str] = field(default_factory=dict)  # sha256 of each, as the race began
    strict: bool = False  # who runs code from outside of its worktree is refused
    foreign: Mapping[str, str] = field(default_factory=dict)  # such files by worker, in words
    verdict: ev.VerdictReached | None = None
    stop_asked: bool = False
    outcome: ev.RaceOutcome | None = None
    ended: float | None = None
    sample_ids: str | None = None
    happenings: tuple[Happening, ...] = ()

    def other_data(self, worker: str) -> str | None:
        """Who reported first that it trains on other data than this worker says; None: they agree, or nobody said."""
        own = self.data.get(worker)
        first, digest = next(iter(self.data.items()), (worker, own))
        return first if own is not None and own != digest else None

    def is_over_for(self, worker: str) -> bool:
        """Whether the race asks this worker to leave, or not to start at all."""
        beaten = self.verdict is not None and self.spec.judge.stop_at_first
        return beaten or self.stop_asked or self.workers[worker].stop_asked

    def is_refused(self, worker: str) -> bool:
        """Whether no verdict may rest on this worker: what it trains is not its branch."""
        return self.strict and worker in self.foreign

    def is_refuted(self, worker: str) -> bool:
        """Whether all the claims that this worker may make have been refuted."""
        refuted = sum(claim.worker == worker and claim.status == "refuted" for claim in self.claims)
        return self.spec.confirm is not None and refuted >= self.spec.confirm.attempts

    def is_fallback_due(self) -> bool:
        """Whether everybody but hybrids and controls ended without success, and no claim is open."""
        firsts = [each.name for each in self.spec.workers if not each.combines and not each.control]
        ended = all(isinstance(self.workers[name].phase, Ended) for name in firsts)
        undecided = any(open_claim(self.spec, claim) for claim in self.claims)
        return ended and self.verdict is None and not self.stop_asked and not undecided

    def has_lost_hope(self, worker: str) -> bool:
        """Whether this worker's chance fell below the limit. A control has none to lose; a claimant is waited for."""
        chance = self.workers[worker].chance
        if chance is None or chance >= self.spec.hopeless_below:
            return False
        claims = self.is_confirming(worker) or any(due.worker == worker for due in self.due)
        return not claims and self.verdict is None and not self.spec.worker(worker).control

    def is_confirming(self, worker: str) -> bool:
        """Whether a claim of this worker waits for its confirmation."""
        return any(open_claim(self.spec, claim) and claim.worker == worker for claim in self.claims)


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


def _machine_found(state: State, event: ev.MachineFound) -> State:
    return replace(state, machine=event.machine)


def _worker_refused(state: State, event: ev.WorkerRefused) -> State:
    note = f"it {event.reason}"
    return _change(state, event.worker, phase=Ended("failed", event.at), ended=event.at, note=note)


def _setup_started(state: State, event: ev.SetupStarted) -> State:
    phase = SettingUp(event.step, event.at)
    state = _pass_over(state, event.ahead_of)
    steps = len(state.spec.worker(event.worker).setup)
    note = f"its worktree is being set up: command {event.step} of {steps}"
    return _change(
        state, event.worker, phase=phase, grant=event.grant, note=_lasting(state, event.worker) or note
    )


def _lasting(state: State, name: str) -> str | None:
    """What is noted of a worker beyond its start: what a hybrid is made of, why it is tried again."""
    worker = state.workers[name]
    return worker.note if worker.merged or isinstance(worker.phase, Retrying) else None


def _pass_over(state: State, names: Sequence[str]) -> State:
    for name in names:
        state = _change(state, name, passed_over=state.workers[name].passed_over + 1)
    return state


def _setup_skipped(state: State, event: ev.SetupSkipped) -> State:
    return _change(state, event.worker, set_up=True)


def _setup_stopping(state: State, event: ev.SetupStopping) -> State:
    phase = state.workers[event.worker].phase
    assert isinstance(phase, SettingUp)
    return _change(state, event.worker, phase=replace(phase, stopping=True))


def _setup_ended(state: State, event: ev.SetupEnded) -> State:
    name, worker = event.worker, state.workers[event.worker]
    if state.is_over_for(name):
        why = "stopped" if state.verdict is None else f"beaten by {state.verdict.worker}"
        note = f"never started: {why}"
        return _change(state, name, phase=Ended("skipped", event.at), ended=event.at, note=note)
    if event.problem is not None:
        exit_ = ExitStanding(event.code, event.signal, event.known)
        phase = Ended("failed", event.at, exit=exit_)
        return _change(state, name, phase=phase, ended=event.at, note=f"its set-up failed: {event.problem}")
    assert isinstance(worker.phase, SettingUp)
    all_done = event.step >= len(state.spec.worker(name).setup)
    told = _lasting(state, name) if all_done else worker.note
    return _change(state, name, phase=replace(worker.phase, done=True), set_up=all_done, note=told)


def _hybrid_made(state: State, event: ev.HybridMade) -> State:
    return _change(state, event.worker, merged=True, note=event.note)


def _hybrid_failed(state: State, event: ev.HybridFailed) -> State:
    return _change(state, event.worker, phase=Ended("skipped", event.at), note=event.reason)


def _worker_launched(state: State, event: ev.WorkerLaunched) -> State:
    return _change(
        _pass_over(state, event.ahead_of),
        event.worker,
        phase=Launching(event.attempt, event.at),
        grant=event.grant,
        note=_lasting(state, event.worker),
        passed_over=0,
        started=event.at,
        ended=None,
        reported=False,
    )


def _worker_queued(state: State, event: ev.WorkerQueued) -> State:
    phase = state.workers[event.worker].phase
    if not isinstance(phase, Launching):
        return state
    return _change(state, event.worker, phase=replace(phase, waits_for=event.text))


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
    checks = worker.checks + 1
    holds = all(
        n >= criterion.for_checks and checks >= criterion.min_checks
        for n, criterion in zip(streaks, criteria, strict=True)
    )
    may_claim = event.unfair is None and _may_claim(state, event.worker)
    point = CheckPoint(
        event.epoch, event.at, tuple(r.value for r in event.results), tuple(r.met for r in event.results)
    )
    if holds and may_claim:
        state = replace(state, due=(*state.due, Due(event.worker, event.epoch, event.checkpoint)))
    recent = (*worker.recent[-RECENT_CHECKS + 1 :], point)
    return _change(
        state,
        event.worker,
        epoch=max(worker.epoch, event.epoch),
        checks=checks,
        judged=worker.judged | 1 << event.epoch,
        results=event.results,
        streaks=streaks,
        recent=recent,
        best=better(worker.best, point, criteria[0].op),
        chance=chance_left(state.spec, event.worker, recent, worker.checks + 1, event.results),
    )


def _found_hopeless(state: State, event: ev.WorkerFoundHopeless) -> State:
    return _change(state, event.worker, hopeless=True, note=f"ended early: it {hopeless(event)}")


def _may_claim(state: State, name: str) -> bool:
    if state.spec.worker(name).control or state.is_over_for(name):
        return False
    return claims_left(state.spec, name, state.claims, state.due) > 0


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
    claim = Claim(event.number, event.worker, event.epoch, event.checkpoint)
    return replace(state, claims=(*state.claims, claim), due=state.due[1:])


def _change_claim(state: State, number: int, **changes: Any) -> State:
    claims = tuple(replace(claim, **changes) if claim.number == number else claim for claim in state.claims)
    return replace(state, claims=claims)


def _checkpoint_frozen(state: State, event: ev.CheckpointFrozen) -> State:
    return _change_claim(state, event.number, frozen=event.path, sha256=event.sha256)


def _confirmation_started(state: State, event: ev.ConfirmationStarted) -> State:
    return _change_claim(state, event.number, tries=event.attempt, trying_since=event.at)


def _confirmation_queued(state: State, event: ev.ConfirmationQueued) -> State:
    return _change_claim(state, event.number, waits=True)


def _confirmation_began(state: State, event: ev.ConfirmationBegan) -> State:
    return _change_claim(state, event.number, waits=False, trying_since=event.at)


def _confirmation_ended(state: State, event: ev.ConfirmationEnded) -> State:
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
    return _change(state, claim.worker, note=note, phase=phase)


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
        case Waiting() | SettingUp(done=True):
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


def _judge_files_fixed(state: State, event: ev.JudgeFilesFixed) -> State:
    return replace(state, judge_files=event.digests)


def _data_reported(state: State, event: ev.DataReported) -> State:
    return replace(state, data={**state.data, event.worker: event.digest})


def _strictness_asked(state: State, _event: ev.StrictnessAsked) -> State:
    return replace(state, strict=True)


def _foreign_code_reported(state: State, event: ev.ForeignCodeReported) -> State:
    state = replace(state, foreign={**state.foreign, event.worker: event.files})
    refused = "refused: it " if state.strict else "it "
    return _change(state, event.worker, note=refused + foreign_code(event.files))


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
    "hopeless": "terminated",
    "foreign": "failed",
}


def _worker_exited(state: State, event: ev.WorkerExited) -> State:
    worker = state.workers[event.worker]
    exit_ = ExitStanding(event.code, event.signal, event.known)
    phase = _phase_after_exit(state, event, exit_)
    note = _note_after_exit(state, event, phase) or worker.note
    return _change(state, event.worker, phase=phase, ended=event.at, note=note)


def _phase_after_exit(state: State, event: ev.WorkerExited, exit_: ExitStanding) -> Phase:
    worker, spec = state.workers[event.worker], state.spec.worker(event.worker)
    restart = retry.not_before(worker, event, _restarts_left(state, spec, event))
    leaves = isinstance(worker.phase, Stopping) and worker.phase.cause != "stalled"
    if (
        restart is not None
        and not leaves
        and not state.is_over_for(event.worker)
        and not _has_won(state, event.worker)
    ):
        return Retrying(event.attempt, restart, exit_)
    return Ended(_outcome(state, event), event.at, event.attempt, exit_)


def _has_won(state: State, name: str) -> bool:
    return state.verdict is not None and state.verdict.worker == name


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
    if _has_won(state, event.worker):
        return "won"
    if isinstance(phase, Stopping):
        return _OUTCOME_OF_CAUSE[phase.cause]
    if event.taken:
        return "lost"
    if not event.known:
        return "lost" if event.reason is None else "failed"
    return "finished" if event.code == 0 else "failed"


def _note_after_exit(state: State, event: ev.WorkerExited, phase: Phase) -> str | None:
    before = state.workers[event.worker].phase
    if isinstance(before, Stopping) and before.cause == "beaten" and state.verdict is not None:
        return f"beaten by {state.verdict.worker}"
    if isinstance(phase, Retrying) or (isinstance(phase, Ended) and phase.outcome in ("failed", "lost")):
        return event.reason or event.last_words or (retry.REBOOTED if event.rebooted else None)
    return None


def _race_ended(state: State, event: ev.RaceEnded) -> State:
    return replace(state, outcome=event.outcome, ended=event.at)


def _noticed(state: State, event: ev.Noticed) -> State:
    return state if event.worker is None else _change(state, event.worker, note=event.text)


_RULES: Mapping[type, Callable[[State, Any], State]] = {
    ev.SupervisorStarted: _supervisor_started,
    ev.MachineFound: _machine_found,
    ev.WorkerRefused: _worker_refused,
    ev.SetupStarted: _setup_started,
    ev.SetupSkipped: _setup_skipped,
    ev.SetupStopping: _setup_stopping,
    ev.SetupEnded: _setup_ended,
    ev.HybridMade: _hybrid_made,
    ev.HybridFailed: _hybrid_failed,
    ev.WorkerLaunched: _worker_launched,
    ev.WorkerQueued: _worker_queued,
    ev.WorkerStarted: _worker_started,
    ev.LinesRead: _lines_read,
    ev.SampleIdsFixed: _sample_ids_fixed,
    ev.CheckJudged: _check_judged,
    ev.ClaimMade: _claim_made,
    ev.JudgeFilesFixed: _judge_files_fixed,
    ev.DataReported: _data_reported,
    ev.StrictnessAsked: _strictness_asked,
    ev.ForeignCodeReported: _foreign_code_reported,
    ev.CheckpointFrozen: _checkpoint_frozen,
    ev.ConfirmationStarted: _confirmation_started,
    ev.ConfirmationQueued: _confirmation_queued,
    ev.ConfirmationBegan: _confirmation_began,
    ev.ConfirmationEnded: _confirmation_ended,
    ev.VerdictReached: _verdict_reached,
    ev.WorkerStalled: _worker_stalled,
    ev.WorkerRecovered: _worker_recovered,
    ev.WorkerFoundHopeless: _found_hopeless,
    ev.WorkerPaused: _worker_paused,
    ev.WorkerUnpaused: _worker_unpaused,
    ev.StopAsked: _stop_asked,
    ev.WorkerStopping: _worker_stopping,
    ev.WorkerExited: _worker_exited,
    ev.RaceEnded: _race_ended,
    ev.Noticed: _noticed,
}
