"""Judge a recorded race again, under the same or other criteria: who would have won, and when.

A replay is exploratory: whoever has seen the curves can find criteria that any worker passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config.schedule import confirm_divisor, divisor, is_planned
from wtrace.data import data, replace
from wtrace.judging import referee
from wtrace.judging.samples import ID
from wtrace.race import events as ev
from wtrace.race.event_text import no_ids
from wtrace.race.reduce import evolve
from wtrace.race.state import begin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from wtrace.config.spec import RaceSpec
    from wtrace.judging.checks import CriterionStanding


@data
class RecordedCheck:
    """A check as it was reported; `at` in seconds since 1970."""

    worker: str
    epoch: int
    at: float
    metrics: Mapping[str, object]
    samples: Mapping[str, object]


@data
class Outcome:
    """Who would have won. `at` is when the winning check arrived; a confirmation would have taken its time after it."""

    winner: str | None
    epoch: int | None = None
    at: float | None = None
    results: tuple[CriterionStanding, ...] = ()
    refuted: tuple[tuple[str, int], ...] = ()  # claims (worker, epoch) that recorded confirmations refute
    unconfirmed: bool = False  # the race confirms claims, and there is no recorded confirmation of this one


def under(race: RaceSpec, other: RaceSpec) -> RaceSpec:
    """The race with the criteria and the correction of another config; which epochs are judged stays the race's."""
    return replace(race, success=other.success, judge=replace(race.judge, correction=other.judge.correction))


def replay(
    spec: RaceSpec,
    checks: Iterable[RecordedCheck],
    confirmations: Mapping[tuple[str, int], RecordedCheck],
    undecided: Collection[tuple[str, int]] = (),
    stale: Collection[tuple[str, int, float]] = (),
) -> Outcome:
    """Judge the checks in the order of their arrival until one wins. `confirmations` are by worker and epoch.

    `undecided` are claims that the race made and gave up without a word of held-out data: they win nothing here either.
    `stale` (worker, epoch, time of arrival) repeated old values, and are no checks.
    """
    # Each claim is settled below, as it arrives, so the rules that queue claims for confirmation are not wanted here.
    state = begin(replace(spec, confirm=None), 0.0)
    looks = divisor(spec)
    refuted: list[tuple[str, int]] = []
    first = None  # who sent ids first
    for check in checks:
        if (check.worker, check.epoch, check.at) in stale:
            continue
        first = first or (check.worker if ID in check.samples else None)
        worker = state.workers[check.worker]
        epochs = spec.epochs_of(spec.worker(check.worker))
        if not is_planned(check.epoch, spec.check_every, epochs) or worker.has_judged(check.epoch):
            continue
        results = referee.judge(spec.success, check.metrics, check.samples, divisor=looks)
        before = len(state.due)
        unfair = None
        if first is not None and referee.cannot_be_compared(spec.success, check.samples):
            unfair = no_ids(first)
        state = evolve(state, ev.CheckJudged(check.at, check.worker, 1, check.epoch, results, unfair=unfair))
        if (check.worker, check.epoch) in undecided:
            continue
        if len(state.due) == before or _is_used_up(spec, check.worker, refuted):
            continue
        confirmation = confirmations.get((check.worker, check.epoch))
        if spec.confirm is not None and confirmation is not None and not _is_confirmed(spec, confirmation):
            refuted.append((check.worker, check.epoch))
            continue
        unconfirmed = spec.confirm is not None and confirmation is None
        return Outcome(check.worker, check.epoch, check.at, results, tuple(refuted), unconfirmed)
    return Outcome(None, refuted=tuple(refuted))


def _is_confirmed(spec: RaceSpec, confirmation: RecordedCheck) -> bool:
    results = referee.judge(
        spec.success, confirmation.metrics, confirmation.samples, divisor=confirm_divisor(spec)
    )
    return all(result.met for result in results)


def _is_used_up(spec: RaceSpec, worker: str, refuted: list[tuple[str, int]]) -> bool:
    attempts = None if spec.confirm is None else spec.confirm.attempts
    return attempts is not None and sum(name == worker for name, _ in refuted) >= attempts
