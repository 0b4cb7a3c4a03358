"""What happened, told in one line for people. Names are shown as they are; whoever renders makes them safe."""

from __future__ import annotations

import signal as signals
from typing import TYPE_CHECKING

from wtrace.judging.checks import rank
from wtrace.race import events as ev
from wtrace.race.phases import ALIVE, Ended
from wtrace.race.retry import describe_exit, words_of
from wtrace.text import beside, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from wtrace.race.state import State


def tell(event: ev.Event, before: State, after: State) -> str | None:
    """The event in one line, or None where it is not worth one; `before` and `after` are the race around it."""
    match event:
        case ev.CheckJudged():
            return _check(event, before, after)
        case ev.WorkerExited():
            return None if _is_expected(event, after) else _exited(event)
    teller = _TELLERS.get(type(event))
    return None if teller is None else teller(event)


def _supervisor(event: ev.SupervisorStarted) -> str | None:
    return f"race resumed by process {event.pid}" if event.resumed else None


def _started(event: ev.WorkerStarted) -> str:
    again = f", attempt {event.attempt}" if event.attempt > 1 else ""
    return f"{event.worker} started{again}" + (f" (pid {event.pid})" if event.pid else "")


def _check(event: ev.CheckJudged, before: State, after: State) -> str | None:
    """What a check changed: criteria newly met or lost, and who leads. None where nothing did."""
    if event.unfair is not None:
        return f"{event.worker} check at epoch {event.epoch} does not count: {event.unfair}"
    met_before = {result.name for result in before.workers[event.worker].results if result.met}
    changes = [
        f"{result.name} {'met' if result.met else 'lost'} ({beside(result.value, result.threshold)})"
        for result in event.results
        if result.met != (result.name in met_before)
    ]
    if _leads_anew(event.worker, before, after):
        met, first = sum(result.met for result in event.results), event.results[0]
        value = f"{first.name} {beside(first.value, first.threshold)}"
        changes.append(f"it leads with {f'{met} of {len(event.results)} criteria met' if met else value}")
    return f"{event.worker} at epoch {event.epoch}: {'; '.join(changes)}" if changes else None


def _leads_anew(name: str, before: State, after: State) -> bool:
    """Whether this worker has just passed everybody else that may win; nobody leads while somebody was not judged yet."""
    not_judged = [
        other
        for other, worker in after.workers.items()
        if isinstance(worker.phase, ALIVE) and not worker.checks and not after.spec.worker(other).control
    ]
    if after.verdict is not None or not_judged:
        return False
    own = _standing_of(name, after)
    others = [_standing_of(other, after) for other in after.workers if other != name]
    best_other = max((rank for rank in others if rank is not None), default=None)
    if own is None or (best_other is not None and own <= best_other):
        return False
    own_before = _standing_of(name, before)
    return own_before is None or (best_other is not None and own_before <= best_other)


def _standing_of(name: str, state: State) -> tuple[int, float] | None:
    """A key by which workers that may win compare: criteria met at the best check, then the first criterion's value."""
    worker = state.workers[name]
    gone = isinstance(worker.phase, Ended) and not state.is_confirming(name)
    if (
        worker.best is None
        or state.spec.worker(name).control
        or gone
        or worker.unfair
        or name in state.without_ids
        or state.is_refuted(name)
    ):
        return None
    return rank(worker.best, state.spec.success[0].op)


def _is_expected(event: ev.WorkerExited, after: State) -> bool:
    """Whether a worker that was asked to leave has done so: that it was asked has been told."""
    phase = after.workers[event.worker].phase
    asked = isinstance(phase, Ended) and phase.outcome in ("won", "terminated", "stopped", "refuted")
    obeyed = event.signal == signals.SIGTERM or event.code in (0, 128 + signals.SIGTERM)
    return asked and obeyed and event.known and not event.leftovers


def _confirmed(event: ev.ConfirmationEnded) -> str:
    if event.problem is not None:
        return f"{event.worker}'s confirmation failed: {event.problem}"
    missed = [result.name for result in event.results if not result.met]
    how = f"refuted: {', '.join(missed)} not met" if missed else "confirmed"
    return f"{event.worker}'s claim is {how} on held-out data"


def _verdict(event: ev.VerdictReached) -> str:
    how = "confirmed on held-out data" if event.confirmed else "not confirmed on held-out data"
    return f"{event.worker} WINS at epoch {event.epoch} ({how})"


def _stopping(event: ev.WorkerStopping) -> str | None:
    """That the others are beaten follows from the verdict, which has been told."""
    return None if event.cause == "beaten" else f"{event.worker} is being ended: {_WHY[event.cause]}"


def _stop_asked(event: ev.StopAsked) -> str:
    return f"stop of {', '.join(event.workers) or 'the race'} asked by {event.by}"


_WHY: Mapping[ev.StopCause, str] = {
    "beaten": "beaten",
    "winner": "it won; it saves and leaves",
    "asked": "asked to stop",
    "stalled": "stalled",
    "refuted": "its claims were refuted",
    "hopeless": "it has no chance left",
    "past_end": "it went on past its last planned check",
    "not_finite": "what it reports is not finite any more",
    "foreign": "it runs code that is not its branch's, and --strict was asked for",
}


def _settling(event: ev.WorkerSettling) -> str | None:
    return f"{event.worker} is ended when nothing that it saves is lost" if event.cause == "winner" else None


def _saving(event: ev.SavingSeen) -> str | None:
    return None if event.file is None else f"{event.worker} is saving {event.file}"


def _settled(event: ev.WorkerSettled) -> str | None:
    return None if event.file is None else f"{event.worker} {still_writing(event.file)}"


TORN = "which may be torn"


def still_writing(file: str, limit_s: float | None = None) -> str:
    """What is wrong with a worker that did not finish its save in time."""
    limit = "" if limit_s is None else f" ({limit_s:g} s)"
    return f"still wrote {file} when its time to settle{limit} was over, {TORN}"


def hopeless(event: ev.WorkerFoundHopeless) -> str:
    """Why a worker is given up: `has a chance of success of 1.3 % by the trend of 6 checks`."""
    return f"has a chance of success of {100 * event.chance:.2g} % by the trend of {event.checks} checks"


def not_finite(event: ev.MetricNotFinite) -> str:
    """What is wrong with a training whose loss is NaN: `train_loss is nan in 3 reports running, the latest at epoch 7`."""
    return f"{event.metric} is {event.value} in {event.running} reports running, the latest at epoch {event.epoch}"


def stale(event: ev.CheckStale) -> str:
    """Why a check that repeats old values is none."""
    return (
        f"its check at epoch {event.epoch} does not count: {event.metric} is not finite since epoch {event.since}, "
        "and every value is that of the check before"
    )


def _not_finite(event: ev.MetricNotFinite) -> str | None:
    return f"{event.worker}: {not_finite(event)}" if event.running >= ev.NOT_FINITE_LIMIT else None


def no_ids(other: str) -> str:
    """Why checks on samples without ids do not count beside those of another worker."""
    return (
        f"its samples carry no ids, and those of {other} do: its checks cannot be compared, and do not count"
    )


def foreign_code(files: str) -> str:
    """What is wrong with a worker that imported these files."""
    return f"runs code from outside of its worktree, not its branch's: {files}"


def _exited(event: ev.WorkerExited) -> str:
    left = f"; {event.leftovers} left-over processes ended" if event.leftovers else ""
    words = f": {said}" if (said := words_of(event)) else ""
    return f"{event.worker} ended: {describe_exit(event)}{words}{left}"


def _machine(event: ev.MachineFound) -> str | None:
    devices = event.machine.devices
    return f"GPUs to hand out: {', '.join(device.id for device in devices)}" if devices else None


def _setup_ended(event: ev.SetupEnded) -> str:
    how = "done" if event.problem is None else f"failed: {event.problem}"
    return f"{event.worker}'s set-up, command {event.step}: {how}"


_OUTCOMES: Mapping[ev.RaceOutcome, str] = {
    "won": "race over: there is a winner",
    "no_winner": "race over: no winner",
    "stopped": "race stopped",
}

_TELLERS: Mapping[type, Callable[[Any], str | None]] = {
    ev.SupervisorStarted: _supervisor,
    ev.MachineSlept: lambda e: f"the machine slept for {seconds(e.slept_s)}: that counts as nobody's silence",
    ev.MachineFound: _machine,
    ev.WorkerRefused: lambda e: f"{e.worker} cannot run here: it {e.reason}",
    ev.SetupStarted: lambda e: f"{e.worker} is being set up" if e.step == 1 else None,
    ev.SetupSkipped: lambda e: f"{e.worker} is set up already",
    ev.SetupEnded: _setup_ended,
    ev.HybridMade: lambda e: f"nobody met every criterion: {e.worker} combines what there is",
    ev.HybridFailed: lambda e: f"{e.worker} cannot be made: {e.reason}",
    ev.WorkerQueued: lambda e: f"{e.worker} {e.text}",
    ev.WorkerStarted: _started,
    ev.SampleIdsMissing: lambda e: f"{e.worker}: {no_ids(e.other)}",
    ev.MetricNotFinite: _not_finite,
    ev.CheckStale: lambda e: f"{e.worker}: {stale(e)}",
    ev.ForeignCodeReported: lambda e: f"{e.worker} {foreign_code(e.files)}",
    ev.ClaimMade: lambda e: f"{e.worker} claims success at epoch {e.epoch}",
    ev.FreezeWaits: lambda e: f"{e.worker}'s claim waits for its checkpoint: {e.text}",
    ev.FreezeFailed: lambda e: f"{e.worker}'s claim has no checkpoint that could be kept: {e.problem}",
    ev.ConfirmationStarted: lambda e: f"{e.worker}'s claim is being confirmed on held-out data",
    ev.ConfirmationQueued: lambda e: f"{e.worker}'s confirmation {e.text}",
    ev.ConfirmationEnded: _confirmed,
    ev.VerdictReached: _verdict,
    ev.WorkerSettling: _settling,
    ev.SavingSeen: _saving,
    ev.WorkerSettled: _settled,
    ev.WorkerStalled: lambda e: f"{e.worker} stalled: no metric for {e.silent_s:.0f} s",
    ev.WorkerRecovered: lambda e: f"{e.worker} reports again",
    ev.WorkerFoundHopeless: lambda e: f"{e.worker} {hopeless(e)}",
    ev.WorkerPaused: lambda e: f"{e.worker} paused",
    ev.WorkerUnpaused: lambda e: f"{e.worker} goes on",
    ev.StopAsked: _stop_asked,
    ev.WorkerStopping: _stopping,
    ev.RaceEnded: lambda e: _OUTCOMES[e.outcome],
    ev.Noticed: lambda e: f"{e.worker}: {e.text}" if e.worker else e.text,
}
