"""The rules of a race: what follows from its state, and what is to be done about it.

`conclude` names the next fact that follows by rule; `decide` names the deeds. Both are pure: time comes in as
`now` (seconds since 1970), and nothing is done twice, because each deed is recorded before it is carried out
and changes the phase that asked for it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.race import events as ev
from wtrace.race.claims import next_to_confirm, open_claim
from wtrace.race.phases import Ended, Launching, Retrying, Running, SettingUp, Stopping, Waiting
from wtrace.race.scheduling import admit, impossible
from wtrace.race.settling import ends_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.race.claims import Claim
    from wtrace.race.resources import Grant, Room
    from wtrace.race.state import State

KILL_AFTER_GRACE_S = 5.0
"""The runner's own ladder has this long after the grace period before the supervisor insists."""
KILL_AGAIN_AFTER_S = 1.0


@data
class Launch:
    """Start this attempt, with what it was given."""

    worker: str
    attempt: int
    grant: Grant | None = None
    ahead_of: tuple[str, ...] = ()


@data
class SetUp:
    """Start the command number `step` that prepares the worker's worktree."""

    worker: str
    step: int
    grant: Grant | None = None
    ahead_of: tuple[str, ...] = ()


@data
class StopSetup:
    """End a command that prepares a worktree."""

    worker: str
    step: int


@data
class Stop:
    """End this worker in good order."""

    worker: str
    attempt: int
    cause: ev.StopCause


@data
class Kill:
    """End this worker at once: it has outlived the grace period."""

    worker: str
    attempt: int


@data
class Freeze:
    """Copy what this claim names to where nobody changes it, as soon as it is whole."""

    number: int
    worker: str


@data
class Confirm:
    """Judge this claim again on held-out data."""

    number: int
    attempt: int
    worker: str


@data
class KillConfirmation:
    """End a confirmation that outlasted its timeout, or that nobody needs any more."""

    number: int
    attempt: int


@data
class MakeHybrid:
    """Merge the branches that this worker combines into its own."""

    worker: str


Action = MakeHybrid | SetUp | StopSetup | Launch | Stop | Kill | Freeze | Confirm | KillConfirmation


def conclude(state: State, now: float) -> ev.Event | None:
    """The next fact that follows from the state, or None. Called again until it has nothing to add."""
    if state.outcome is not None:
        return None
    return next(_facts(state, now), None)


def _facts(state: State, now: float) -> Iterator[ev.Event]:
    if state.due:
        due = state.due[0]
        yield ev.ClaimMade(now, due.worker, due.epoch, len(state.claims) + 1, due.checkpoint)
    first = _first_that_counts(state)
    if first is not None and state.verdict is None and not state.stop_asked:
        yield ev.VerdictReached(now, first.worker, first.epoch, confirmed=first.status == "confirmed")
    yield from _settlings(state, now)
    yield from _silences(state, now)
    yield from _lost_hopes(state, now)
    yield from _refusals(state, now)
    if _is_over(state):
        yield ev.RaceEnded(now, _race_outcome(state))


def _first_that_counts(state: State) -> Claim | None:
    """The first claim, or with `[confirm]` the first that was confirmed; none of a worker that was refused."""
    fair = (claim for claim in state.claims if not state.is_refused(claim.worker))
    counts = (claim for claim in fair if state.spec.confirm is None or claim.status == "confirmed")
    return next(counts, None)


def _is_over(state: State) -> bool:
    """Nobody runs, and no claim is left that could still become a verdict."""
    if not all(isinstance(worker.phase, Ended) for worker in state.workers.values()):
        return False
    if any(claim.trying_since is not None or state.wants_frozen(claim) for claim in state.claims):
        return False
    undecided = state.verdict is None and not state.stop_asked
    return not (undecided and any(open_claim(state.spec, claim) for claim in state.claims))


def _settlings(state: State, now: float) -> Iterator[ev.Event]:
    """Who is to be ended, but not before its saves are whole."""
    winner = None if state.verdict is None else state.verdict.worker
    for name, worker in state.workers.items():  # asked with every winning line: most are passed over at once
        if worker.epoch <= worker.max_epochs and name != winner:
            continue
        phase = worker.phase
        if not isinstance(phase, Running) or phase.settling is not None or worker.stop_asked:
            continue
        if state.stop_asked or state.is_refused(name):
            continue
        if state.is_ended_as_winner(name):
            if ends_by(state.spec, state.spec.worker(name), saves_late=worker.saves_late) == "settle":
                yield ev.WorkerSettling(now, name, "winner", worker.epoch)
        elif not phase.paused and state.is_past_its_end(name):
            yield ev.WorkerSettling(now, name, "past_end", worker.max_epochs)


def _silences(state: State, now: float) -> Iterator[ev.Event]:
    for name, worker in state.workers.items():
        phase = worker.phase
        if not isinstance(phase, Running) or phase.paused or phase.settling is not None:
            continue
        silent_s = now - phase.heard
        if not phase.stalled and silent_s >= state.spec.stall_after_s:
            yield ev.WorkerStalled(now, name, silent_s)
        if phase.stalled and silent_s < state.spec.stall_after_s:
            yield ev.WorkerRecovered(now, name)


def _lost_hopes(state: State, now: float) -> Iterator[ev.Event]:
    for name, worker in state.workers.items():
        if isinstance(worker.phase, Running) and not worker.hopeless and state.has_lost_hope(name):
            yield ev.WorkerFoundHopeless(now, name, worker.chance or 0.0, worker.checks)


def _refusals(state: State, now: float) -> Iterator[ev.Event]:
    for spec in state.spec.workers:
        waits = isinstance(state.workers[spec.name].phase, Waiting | Retrying)
        reason = impossible(state, spec) if waits else None
        if reason is not None and not state.is_over_for(spec.name):
            yield ev.WorkerRefused(now, spec.name, reason)


def _race_outcome(state: State) -> ev.RaceOutcome:
    if state.verdict is not None:
        return "won"
    return "stopped" if state.is_stopped else "no_winner"


def decide(state: State, now: float, room: Room | None = None) -> list[Action]:
    """What is to be done now: whom to end, whom to start. `room` is what was seen to be free, where that matters."""
    if state.outcome is not None:
        return []
    return [
        *_ends(state, now),
        *_freezes(state),
        *_confirmations(state, now),
        *_starts(state, now, room),
    ]


def _freezes(state: State) -> Iterator[Action]:
    for claim in state.claims:
        if not claim.freezing and state.wants_frozen(claim):
            yield Freeze(claim.number, claim.worker)


def _confirmations(state: State, now: float) -> Iterator[Action]:
    """One at a time, in the order of the claims' arrival; one that has to wait for its file is overtaken after a while."""
    trying = next((claim for claim in state.claims if claim.trying_since is not None), None)
    if trying is not None:
        if now >= _confirmation_deadline(state, trying):
            yield KillConfirmation(trying.number, trying.tries)
        return
    if state.verdict is None and not state.stop_asked:
        claim = next_to_confirm(state.spec, state.claims, now)
        if claim is not None:
            yield Confirm(claim.number, claim.tries + 1, claim.worker)


def _confirmation_deadline(state: State, claim: Claim) -> float:
    if state.stop_asked or claim.trying_since is None or state.spec.confirm is None:
        return 0.0
    return inf if claim.waits else claim.trying_since + state.spec.confirm.timeout_s


def _ends(state: State, now: float) -> Iterator[Action]:
    for name, worker in state.workers.items():
        phase = worker.phase
        if isinstance(phase, Running) or (isinstance(phase, Launching) and phase.waits_for is not None):
            cause = _stop_cause(state, name, phase)
            if cause is not None:
                yield Stop(name, phase.attempt, cause)
        elif isinstance(phase, SettingUp) and state.is_over_for(name) and not phase.stopping:
            yield StopSetup(name, phase.step)
        elif isinstance(phase, Stopping) and now >= phase.asked + state.spec.grace_s + KILL_AFTER_GRACE_S:
            yield Kill(name, phase.attempt)


def _stop_cause(state: State, name: str, phase: Running | Launching) -> ev.StopCause | None:
    if state.stop_asked or state.workers[name].stop_asked:
        return "asked"
    if state.is_refused(name):
        return "foreign"
    if state.is_ended_as_winner(name):
        saves_late = state.workers[name].saves_late
        if ends_by(state.spec, state.spec.worker(name), saves_late=saves_late) == "stop":
            return "winner"
    elif state.verdict is not None and state.spec.judge.stop_at_first:
        return "beaten"
    if isinstance(phase, Running) and phase.settling is not None:
        return phase.settling.cause if phase.settling.done else None
    return _own_cause(state, name, phase)


def _own_cause(state: State, name: str, phase: Running | Launching) -> ev.StopCause | None:
    """Why a worker is ended because of what it does itself, whatever becomes of the race."""
    if state.is_refuted(name):
        return "refuted"
    if state.workers[name].hopeless:
        return "hopeless"
    if state.has_lost_its_numbers(name):
        return "not_finite"
    if isinstance(phase, Running) and phase.stalled and state.spec.on_stall != "warn":
        return "stalled"
    return None


def _starts(state: State, now: float, room: Room | None) -> Iterator[Action]:
    if state.is_fallback_due():
        yield from (
            MakeHybrid(spec.name)
            for spec in state.spec.workers
            if spec.combines
            and not state.workers[spec.name].merged
            and isinstance(state.workers[spec.name].phase, Waiting)
        )
    for name, worker in state.workers.items():
        if isinstance(worker.phase, SettingUp) and worker.phase.done:
            step = worker.phase.step + 1
            yield Launch(name, 1, worker.grant) if worker.set_up else SetUp(name, step, worker.grant)
    for each in admit(state, _ready(state, now), now, room):
        first = SetUp if _wants_setup(state, each.worker) else Launch
        number = 1 if first is SetUp else each.attempt
        yield first(each.worker, number, each.grant, each.ahead_of)


def _wants_setup(state: State, name: str) -> bool:
    return bool(state.spec.worker(name).setup) and not state.workers[name].set_up


def who_is_ready(state: State, now: float) -> list[str]:
    """Who waits for nothing but a place and resources, ranked."""
    return [] if state.outcome is not None else [name for name, _ in _ready(state, now)]


def _ready(state: State, now: float) -> list[tuple[str, int]]:
    """Who may start, first the highest priority, then the order of the config. Restarts keep their place."""
    ready: list[tuple[int, str, int]] = []
    for spec in state.spec.workers:
        phase = state.workers[spec.name].phase
        if isinstance(phase, Waiting) and (not spec.combines or state.workers[spec.name].merged):
            ready.append((spec.priority, spec.name, 1))
        elif isinstance(phase, Retrying) and now >= phase.not_before:
            ready.append((spec.priority, spec.name, phase.attempt + 1))
    return [(name, attempt) for _, name, attempt in sorted(ready, key=lambda row: -row[0])]


def intent(action: Action, now: float) -> ev.Event | None:
    """What is recorded before the action is carried out."""
    match action:
        case Launch(worker, attempt, grant, ahead_of):
            return ev.WorkerLaunched(now, worker, attempt, grant, ahead_of)
        case SetUp(worker, step, grant, ahead_of):
            return ev.SetupStarted(now, worker, step, grant, ahead_of)
        case StopSetup(worker):
            return ev.SetupStopping(now, worker)
        case Stop(worker, _, cause):
            return ev.WorkerStopping(now, worker, cause)
        case Freeze(number, worker):
            return ev.FreezeStarted(now, number, worker)
        case Confirm(number, attempt, worker):
            return ev.ConfirmationStarted(now, number, attempt, worker)
        case Kill() | KillConfirmation() | MakeHybrid():
            return None


def unfinished(state: State) -> list[Action]:
    """What an earlier supervisor had recorded but perhaps not carried out; doing it again does no harm."""
    actions: list[Action] = []
    for name, worker in state.workers.items():
        match worker.phase:
            case Launching(attempt=attempt):
                actions.append(Launch(name, attempt, worker.grant))
            case SettingUp(step=step, done=False, stopping=stopping):
                actions.append(SetUp(name, step, worker.grant))
                actions += [StopSetup(name, step)] if stopping else []
            case Stopping(attempt=attempt, cause=cause):
                actions.append(Stop(name, attempt, cause))
            case _:
                pass
    actions += [
        Freeze(claim.number, claim.worker)
        for claim in state.claims
        if claim.freezing and state.wants_frozen(claim)
    ]
    actions += [
        Confirm(claim.number, claim.tries, claim.worker)
        for claim in state.claims
        if claim.trying_since is not None
    ]
    return actions


def next_deadline(state: State, now: float) -> float | None:
    """When the state will ask for something although nothing happens; None: never."""
    times = [time for name in state.workers for time in _deadlines(state, name, now)]
    times += [
        max(_confirmation_deadline(state, claim), now + KILL_AGAIN_AFTER_S)
        for claim in state.claims
        if claim.trying_since is not None
    ]
    times += [
        claim.keeps_its_place_until
        for claim in state.claims
        if open_claim(state.spec, claim) and claim.frozen is None and claim.holds_others_up(now)
    ]
    return min((time for time in times if time < inf), default=None)


def may_change_policy(state: State, event: ev.Event) -> bool:
    """Whether the event may change what `conclude` and `decide` say, `state` being that before it.

    Lines that were merely read do not, but from a stalled worker or past the last epoch. Where it is False, `conclude` and `decide` have nothing to add before `next_deadline`, if they had nothing before.
    """
    if not isinstance(event, ev.LinesRead):
        return True
    phase = state.workers[event.worker].phase
    past_end = event.epoch > state.workers[event.worker].max_epochs
    return past_end or (isinstance(phase, Running) and phase.stalled)


def _deadlines(state: State, name: str, now: float) -> Iterator[float]:
    match state.workers[name].phase:
        case Running(heard=heard, stalled=False, paused=False, settling=None):
            yield heard + state.spec.stall_after_s
        case Retrying(not_before=not_before):
            yield not_before
        case Stopping(asked=asked):
            yield max(asked + state.spec.grace_s + KILL_AFTER_GRACE_S, now + KILL_AGAIN_AFTER_S)
        case _:
            pass
