"""How the checks of one worker would stand by a race's criteria, and at which the worker would claim success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config.schedule import divisor, is_planned
from wtrace.data import data, replace
from wtrace.judging import referee
from wtrace.race import events as ev
from wtrace.race.reduce import evolve
from wtrace.race.state import begin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wtrace.config.spec import RaceSpec
    from wtrace.judging.checks import CriterionStanding


@data
class ReportedCheck:
    """A check as the worker reported it."""

    epoch: int
    metrics: Mapping[str, object]
    samples: Mapping[str, object]


@data
class JudgedCheck:
    """A check that is planned, and where it stands. `claims`: with it every criterion holds as often as it must."""

    epoch: int
    results: tuple[CriterionStanding, ...]
    claims: bool


def judged(spec: RaceSpec, worker: str, checks: Iterable[ReportedCheck]) -> Iterator[JudgedCheck]:
    """The first check of each planned epoch, judged as the race would; a confirmation of its claims is not foreseen."""
    state = begin(replace(spec, confirm=None), 0.0)
    epochs, looks = spec.epochs_of(spec.worker(worker)), divisor(spec)
    for check in checks:
        if not is_planned(check.epoch, spec.check_every, epochs) or state.workers[worker].has_judged(
            check.epoch
        ):
            continue
        results = referee.judge(spec.success, check.metrics, check.samples, divisor=looks)
        before = len(state.due)
        state = evolve(state, ev.CheckJudged(0.0, worker, 1, check.epoch, results))
        yield JudgedCheck(check.epoch, results, claims=len(state.due) > before)
