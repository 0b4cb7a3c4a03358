"""From the state of a race to its standing: what every page and table shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data, replace
from wtrace.judging.checks import CriterionStanding
from wtrace.race.event_text import no_ids
from wtrace.race.phases import Ended, Launching, Retrying, Running, SettingUp, Stopping, Waiting
from wtrace.race.settling import Settling
from wtrace.race.status import ClaimStanding, ExitStanding, Standing, WorkerStanding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.judging.checks import CriterionInfo
    from wtrace.race.state import State, Worker
    from wtrace.race.status import RaceStateName, WorkerState


@data
class Place:
    """Where a worker lives: its branch, the commit it started from, and its folders."""

    branch: str
    commit: str
    worktree: str
    output: str
    log: str


def worker_standing(state: State, name: str, place: Place) -> WorkerStanding:
    """One worker's row."""
    worker = state.workers[name]
    spec = state.spec.worker(name)
    phase = worker.phase
    process = phase if isinstance(phase, Running | Stopping) else None
    return WorkerStanding(
        name=name,
        branch=place.branch,
        commit=place.commit,
        state=_state_name(state, name, worker),
        max_epochs=state.spec.epochs_of(spec),
        control=spec.control,
        pid=None if process is None else process.pid,
        handle=None if process is None else process.handle,
        attempt=0 if isinstance(phase, Waiting | SettingUp) else phase.attempt,
        epoch=worker.epoch,
        exit=_exit(worker),
        criteria=_criteria(state, name, worker),
        checks=worker.checks,
        lines=worker.lines,
        bad_lines=worker.bad_lines,
        worktree=place.worktree,
        output=place.output,
        log=place.log,
        started=worker.started,
        ended=worker.ended,
        note=_note(worker),
        doing=worker.doing if isinstance(phase, Running) and not worker.checks else None,
        recent=worker.recent,
        best=worker.best,
        claim=_claim(state, name),
        ruled_out=_ruled_out(state, name),
    )


def _claim(state: State, name: str) -> ClaimStanding | None:
    """The worker's open claim that is confirmed first, else the one that was decided last."""
    own = [claim for claim in state.claims if claim.worker == name] if state.spec.confirm is not None else []
    claim = next((each for each in own if each.status == "open" and state.verdict is None), None)
    if claim is not None:
        assert state.spec.confirm is not None
        runs = claim.trying_since is not None and not claim.waits
        return ClaimStanding(
            claim.epoch,
            "confirming" if runs else "waiting",
            claim.trying_since if runs else None,
            state.spec.confirm.timeout_s,
        )
    for each in reversed(own):
        match each.status:
            case "refuted" | "unconfirmed":
                return ClaimStanding(each.epoch, each.status, why=each.why)
    return None


def _criteria(state: State, name: str, worker: Worker) -> tuple[CriterionStanding, ...]:
    """As of the latest judged check; of the winner as of the check by which it won, whatever it reported since."""
    verdict = state.verdict
    if verdict is None or verdict.worker != name:
        return worker.results
    points = worker.recent if worker.best is None else (*worker.recent, worker.best)
    won = next((point for point in points if point.epoch == verdict.epoch), None)
    if won is None:
        return worker.results
    return tuple(
        CriterionStanding(result.name, won.values[at], result.op, result.threshold, won.met[at])
        for at, result in enumerate(worker.results)
    )


def _ruled_out(state: State, name: str) -> str | None:
    """Why the worker cannot win any more, or its checks do not count; None where neither is so."""
    if state.is_refuted(name):
        why = next(
            (each.why for each in reversed(state.claims) if each.worker == name and each.status == "refuted"),
            None,
        )
        return f"refuted: {why}"
    if name in state.without_ids:
        return no_ids(state.ids_first or "others")
    return state.workers[name].unfair


def _note(worker: Worker) -> str | None:
    match worker.phase:
        case Launching(waits_for=str(text)):
            return text
        case Running(settling=Settling(saving=str(file))):
            return f"saving {file}"
    if worker.note is None and worker.unfair is not None:
        return f"its checks do not count: {worker.unfair}"
    return worker.note


def _exit(worker: Worker) -> ExitStanding | None:
    return worker.phase.exit if isinstance(worker.phase, Ended | Retrying) else None


def _state_name(state: State, name: str, worker: Worker) -> WorkerState:
    match worker.phase:
        case Waiting() | SettingUp():
            return "waiting"
        case Launching(waits_for=waits_for):
            return "running" if waits_for is None else "waiting"
        case Running(settling=Settling(cause=cause)):
            return "won" if cause == "winner" else "stopping"
        case Running(paused=True):
            return "paused"
        case Running(stalled=True):
            return "stalled"
        case Running():
            return "confirming" if state.is_confirming(name) else "running"
        case Stopping():
            won = state.verdict is not None and state.verdict.worker == name
            return "won" if won else "stopping"
        case Retrying():
            return "retrying"
        case Ended(outcome=outcome):
            return outcome


def race_state_name(state: State) -> RaceStateName:
    """`won` as soon as there is a verdict, else how the race ended, else `running`."""
    if state.verdict is not None:
        return "won"
    return state.outcome or "running"


def race_standing(
    state: State,
    race_id: str,
    workers: tuple[WorkerStanding, ...],
    criteria: tuple[CriterionInfo, ...],
    at: float,
) -> Standing:
    """The whole race at `at`, with the rows of its workers."""
    verdict = state.verdict
    return Standing(
        id=race_id,
        name=state.spec.name,
        state=race_state_name(state),
        at=at,
        started=state.started,
        supervisor_pid=state.supervisor_pid,
        supervisor_alive=True,
        workers=workers,
        criteria=criteria,
        check_every=state.spec.check_every,
        winner=None if verdict is None else verdict.worker,
        winner_epoch=None if verdict is None else verdict.epoch,
        decided=None if verdict is None else verdict.at,
        ended=state.ended,
        confirmed=verdict is not None and verdict.confirmed,
        happenings=state.happenings,
        cost_per_hour=state.spec.cost_per_hour,
    )


def standing(
    state: State, race_id: str, places: Mapping[str, Place], criteria: tuple[CriterionInfo, ...], at: float
) -> Standing:
    """The whole race at `at`, every row made anew."""
    rows = tuple(worker_standing(state, name, places[name]) for name in state.workers)
    return race_standing(state, race_id, rows, criteria, at)


@data
class Fate:
    """What became of an attempt while nobody supervised it."""

    alive: bool
    exit: tuple[int | None, int | None, bool] | None  # code, signal, known; None: nothing was written


def unsupervised(standing: Standing, fates: Mapping[str, Fate]) -> Standing:
    """The standing of a race whose supervisor is gone: told as what it is, without deciding anything."""
    state: RaceStateName = "interrupted" if standing.state == "running" else standing.state
    workers = tuple(
        _with_fate(worker, fates[worker.name]) if worker.name in fates and worker.exit is None else worker
        for worker in standing.workers
    )
    return replace(standing, state=state, supervisor_alive=False, workers=workers)


def _with_fate(worker: WorkerStanding, fate: Fate) -> WorkerStanding:
    if fate.exit is not None:
        code, signal, known = fate.exit
        state = worker.state if worker.state == "won" else _unwatched_end(worker, code, known)
        return replace(worker, state=state, exit=ExitStanding(code, signal, known), pid=None)
    if fate.alive:
        return worker
    return replace(worker, state="lost", exit=ExitStanding(None, None, known=False), pid=None)


def _unwatched_end(worker: WorkerStanding, code: int | None, known: bool) -> WorkerState:
    if worker.state == "stopping":
        return "stopped"
    if not known:
        return "lost"
    return "finished" if code == 0 else "failed"
