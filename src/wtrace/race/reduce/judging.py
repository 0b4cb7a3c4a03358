"""How a state changes by what workers report, and by what the referee says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.judging.checks import CheckPoint
from wtrace.judging.early_stop import chance_left
from wtrace.race import events as ev
from wtrace.race.claims import Due, attempts_used_up, reports_first
from wtrace.race.event_text import foreign_code, hopeless, no_ids
from wtrace.race.phases import Running
from wtrace.race.reduce.claiming import overtaken
from wtrace.race.reduce.updates import change
from wtrace.race.status_json import finite

if TYPE_CHECKING:
    from wtrace.race.state import State

RECENT_CHECKS = 32


def lines_read(state: State, event: ev.LinesRead) -> State:
    if state.claims and event.epoch and reports_first(state.spec, event.worker):
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
        reported=worker.reported or event.lines > event.bad_lines,
    )


def sample_ids_fixed(state: State, event: ev.SampleIdsFixed) -> State:
    return replace(state, sample_ids=event.digest, ids_first=event.worker)


def sample_ids_missing(state: State, event: ev.SampleIdsMissing) -> State:
    state = replace(state, without_ids=(*state.without_ids, event.worker))
    return change(state, event.worker, note=no_ids(event.other))


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
    point = CheckPoint(
        event.epoch, event.at, tuple(r.value for r in event.results), tuple(r.met for r in event.results)
    )
    if holds and may_claim:
        state = replace(state, due=(*state.due, Due(event.worker, event.epoch, event.checkpoint)))
    recent = (*worker.recent[-RECENT_CHECKS + 1 :], point)
    return change(
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


def found_hopeless(state: State, event: ev.WorkerFoundHopeless) -> State:
    return change(state, event.worker, hopeless=True, note=f"ended early: it {hopeless(event)}")


def _may_claim(state: State, name: str) -> bool:
    if state.spec.worker(name).control or state.is_over_for(name):
        return False
    return not attempts_used_up(state.spec, name, state.claims)


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
