"""How a state changes by what the referee says of a check, and by what becomes of a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.judging.checks import CheckSummary, rank
from wtrace.judging.early_stop import chance_left
from wtrace.race import events as ev
from wtrace.race.claims import Claim, Due, attempts_used_up, reports_first, with_claim, without_more
from wtrace.race.event_text import foreign_code, hopeless, no_ids, not_finite, stale
from wtrace.race.phases import Ended, Running
from wtrace.race.reduce.updates import change, leave_unretried, leave_unstarted

if TYPE_CHECKING:
    from typing import Any

    from wtrace.race.state import State, Worker


def claim_made(state: State, event: ev.ClaimMade) -> State:
    """A later epoch may have been reported by then: several lines are read at once, and claims are made afterwards."""
    claim = Claim(event.number, event.worker, event.epoch, event.checkpoint, event.at)
    by_line = reports_first(state.spec, event.worker)
    if by_line and state.workers[event.worker].reported_epoch > event.epoch:
        claim = replace(claim, overtaken=event.at)
    due = []
    for each in state.due:
        if (each.worker, each.epoch) == (event.worker, event.epoch):
            claim = replace(claim, overtaken=claim.overtaken or each.overtaken)
        else:
            due.append(each)
    return replace(state, claims=with_claim(state.spec, state.claims, claim), due=tuple(due))


def _change_claim(state: State, number: int, **changes: Any) -> State:
    claims = tuple(replace(claim, **changes) if claim.number == number else claim for claim in state.claims)
    return replace(state, claims=claims)


def freeze_started(state: State, event: ev.FreezeStarted) -> State:
    return _change_claim(state, event.number, freezing=True)


def freeze_waits(state: State, event: ev.FreezeWaits) -> State:
    incomplete = state.claims[event.number - 1].seen_incomplete or not event.whole
    return _change_claim(state, event.number, waits_for=event.text, seen_incomplete=incomplete)


def freeze_failed(state: State, event: ev.FreezeFailed) -> State:
    """Without a whole checkpoint there is nothing to confirm; a verdict that needs no confirmation stands."""
    state = _change_claim(state, event.number, freezing=False, not_frozen=event.problem)
    claim = state.claims[event.number - 1]
    if state.spec.confirm is None or claim.status != "open":
        return state
    state = _change_claim(state, event.number, status="unconfirmed", why=event.problem)
    return _note(state, claim, f"could not be confirmed: {event.problem}")


def checkpoint_frozen(state: State, event: ev.CheckpointFrozen) -> State:
    return _change_claim(state, event.number, freezing=False, frozen=event.path, sha256=event.sha256)


def overtaken(state: State, worker: str, epoch: int, checkpoint: str | None, at: float) -> State:
    """The worker reported a later epoch; what has not been copied of an earlier one may be overwritten from now on.

    `checkpoint` is the file that the report names; None: one whose files are not told apart by what it reports.
    """

    def is_overtaken(each: Claim | Due) -> bool:
        is_later = each.worker == worker and each.epoch < epoch and each.overtaken is None
        return is_later and checkpoint in (None, each.checkpoint)

    def mark(each: Claim) -> Claim:
        return replace(each, overtaken=at) if each.copy_is_undecided and is_overtaken(each) else each

    due = tuple(replace(each, overtaken=at) if is_overtaken(each) else each for each in state.due)
    return replace(state, claims=tuple(map(mark, state.claims)), due=due)


def confirmation_started(state: State, event: ev.ConfirmationStarted) -> State:
    return _change_claim(state, event.number, tries=event.attempt, trying_since=event.at)


def confirmation_queued(state: State, event: ev.ConfirmationQueued) -> State:
    return _change_claim(state, event.number, waits=True)


def confirmation_began(state: State, event: ev.ConfirmationBegan) -> State:
    return _change_claim(state, event.number, waits=False, trying_since=event.at)


def confirmation_ended(state: State, event: ev.ConfirmationEnded) -> State:
    claim = state.claims[event.number - 1].after_try(event.results, event.problem)
    claims = tuple(claim if each.number == claim.number else each for each in state.claims)
    state = replace(state, claims=claims)
    if claim.status == "unconfirmed":
        return _note(state, claim, f"could not be confirmed: {claim.why}")
    if claim.status != "refuted":
        return state
    state = _note(state, claim, f"was refuted: {claim.why}")
    return _use_up(state, claim.worker, event.at) if state.is_refuted(claim.worker) else state


def _note(state: State, claim: Claim, what: str) -> State:
    worker = replace(state.workers[claim.worker], note=f"its claim at epoch {claim.epoch} {what}")
    return replace(state, workers={**state.workers, claim.worker: worker})


def _use_up(state: State, name: str, at: float) -> State:
    """Its last attempt was refuted: it claims no more, and is not started again."""
    worker = state.workers[name]
    phase = worker.phase
    if isinstance(phase, Ended) and phase.outcome == "finished":
        worker = replace(worker, phase=replace(phase, outcome="refuted"))
    worker = leave_unretried(worker, at, "refuted", worker.note)
    claims = without_more(state.spec, state.claims, name)
    due = tuple(each for each in state.due if each.worker != name)
    return replace(state, claims=claims, due=due, workers={**state.workers, name: worker})


def verdict_reached(state: State, event: ev.VerdictReached) -> State:
    state = replace(state, verdict=event)
    workers = {name: _after_verdict(state, name, worker) for name, worker in state.workers.items()}
    return replace(state, workers=workers)


def _after_verdict(state: State, name: str, worker: Worker) -> Worker:
    verdict = state.verdict
    assert verdict is not None
    phase = worker.phase
    if name == verdict.worker:
        won = replace(worker, phase=replace(phase, outcome="won") if isinstance(phase, Ended) else phase)
        return leave_unretried(won, verdict.at, "won", won.note)
    not_needed = state.spec.worker(name).combines and not worker.merged
    if not state.spec.judge.stop_at_first and not not_needed:
        return worker
    return leave_unstarted(worker, verdict.at, f"beaten by {verdict.worker}")


RECENT_CHECKS = 32


def lines_read(state: State, event: ev.LinesRead) -> State:
    if (state.claims or state.due) and event.epoch and reports_first(state.spec, event.worker):
        state = overtaken(state, event.worker, event.epoch, None, event.at)
    worker = state.workers[event.worker]
    phase = worker.phase
    if isinstance(phase, Running) and event.lines > event.bad_lines:
        phase = replace(phase, heard=event.at)
    note = worker.note
    if event.first_bad is not None and worker.bad_lines == 0:
        note = f"a metrics line cannot be used: {event.first_bad}"
    return change(
        state,
        event.worker,
        phase=phase,
        lines=worker.lines + event.lines,
        bad_lines=worker.bad_lines + event.bad_lines,
        epoch=max(worker.epoch, event.epoch),
        note=note,
        doing=event.doing or worker.doing,
        reported=worker.reported or event.lines > event.bad_lines,
        reported_epoch=max(worker.reported_epoch, event.epoch),
    )


def sample_ids_fixed(state: State, event: ev.SampleIdsFixed) -> State:
    return replace(state, sample_ids=event.digest, ids_first=event.worker)


def sample_ids_missing(state: State, event: ev.SampleIdsMissing) -> State:
    state = replace(state, without_ids=(*state.without_ids, event.worker))
    return change(state, event.worker, note=no_ids(event.other))


def _better(best: CheckSummary | None, point: CheckSummary, op: str) -> CheckSummary:
    """The check that ranks higher; of two alike the earlier."""
    return point if best is None or rank(point, op) > rank(best, op) else best


def check_judged(state: State, event: ev.CheckJudged) -> State:
    if event.checkpoint is not None:
        state = overtaken(state, event.worker, event.epoch, event.checkpoint, event.at)
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
    point = CheckSummary(
        event.epoch, event.at, tuple(r.value for r in event.results), tuple(r.met for r in event.results)
    )
    if holds and may_claim:
        state = replace(state, due=(*state.due, Due(event.worker, event.epoch, event.checkpoint)))
    recent = (*worker.recent[-RECENT_CHECKS + 1 :], point)
    met_all = all(result.met for result in event.results)
    return change(
        state,
        event.worker,
        epoch=max(worker.epoch, event.epoch),
        checks=checks,
        judged=worker.judged | 1 << event.epoch,
        results=event.results,
        streaks=streaks,
        recent=recent,
        best=_better(worker.best, point, criteria[0].op),
        chance=chance_left(state.spec, event.worker, recent, worker.checks + 1, event.results),
        unfair=event.unfair if met_all else worker.unfair,
    )


def metric_not_finite(state: State, event: ev.MetricNotFinite) -> State:
    worker = state.workers[event.worker]
    since = event.epoch if worker.lost is None else worker.lost_since
    note = worker.note if event.running < ev.NOT_FINITE_LIMIT else not_finite(event)
    return change(state, event.worker, lost=event, lost_since=since, note=note)


def metric_finite(state: State, event: ev.MetricFinite) -> State:
    worker = state.workers[event.worker]
    told = worker.lost is not None and worker.note == not_finite(worker.lost)
    return change(state, event.worker, lost=None, note=None if told else worker.note)


def check_stale(state: State, event: ev.CheckStale) -> State:
    return change(state, event.worker, note=stale(event))


def found_hopeless(state: State, event: ev.WorkerFoundHopeless) -> State:
    return change(state, event.worker, hopeless=True, note=f"ended early: it {hopeless(event)}")


def _may_claim(state: State, name: str) -> bool:
    if state.spec.worker(name).control or state.is_over_for(name):
        return False
    return not attempts_used_up(state.spec, name, state.claims)


def judge_files_fixed(state: State, event: ev.JudgeFilesFixed) -> State:
    return replace(state, judge_files=event.digests)


def data_reported(state: State, event: ev.DataReported) -> State:
    return replace(state, data={**state.data, event.worker: event.digest})


def settling_asked(state: State, event: ev.SettlingAsked) -> State:
    return change(state, event.worker, saves_late=True)


def strictness_asked(state: State, _event: ev.StrictnessAsked) -> State:
    return replace(state, strict=True)


def foreign_code_reported(state: State, event: ev.ForeignCodeReported) -> State:
    state = replace(state, foreign={**state.foreign, event.worker: event.files})
    refused = "refused: it " if state.strict else "it "
    return change(state, event.worker, note=refused + foreign_code(event.files))
