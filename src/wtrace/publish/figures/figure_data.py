"""What the figures rest on, picked from the record: the standing, and of the recorded checks what is pictured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging import referee
from wtrace.publish.view import best_so_far
from wtrace.race import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wtrace.config.language.criteria import Criterion
    from wtrace.config.spec import FiguresSpec, RaceSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.judging.referee import Interval
    from wtrace.race.events import Event
    from wtrace.race.status import Standing


class NotDrawableError(Exception):
    """The race has not what a figure needs; the text says what, in a few words."""


@data
class Content:
    """What a check line held."""

    metrics: Mapping[str, object] = field(default_factory=dict)
    samples: Mapping[str, object] = field(default_factory=dict)
    objects: Mapping[str, object] = field(default_factory=dict)


@data
class RecordedLine:
    """A check as it was stored. `content` decodes the line; most lines are never asked for it."""

    worker: str
    epoch: int
    at: float  # seconds since 1970
    judged: bool
    results: tuple[CriterionStanding, ...]
    content: Callable[[], Content]


@data
class CurvePoint:
    """The first criterion at one judged check, and its 95 % interval where it has one."""

    epoch: int
    value: float | None
    interval: Interval | None = None


@data
class PicturedCheck:
    """A check whose samples and objects are drawn."""

    worker: str
    epoch: int
    results: tuple[CriterionStanding, ...]
    content: Content


@data
class Span:
    """A time of one worker, in seconds since 1970; `ended` is None where it had not ended."""

    worker: str
    started: float
    ended: float | None


@data
class HeldOut:
    """What the winner's confirmation said: the criteria, and the interval of the first one."""

    results: tuple[CriterionStanding, ...]
    interval: Interval | None


@data
class FigureEvidence:
    """All that the figures show. `chosen` is the winning check, or without a winner the closest approach."""

    standing: Standing
    success: tuple[Criterion, ...]
    figures: FiguresSpec
    curves: Mapping[str, tuple[CurvePoint, ...]]  # by worker, by epoch; a worker without a check has none
    chosen: PicturedCheck | None = None
    before: PicturedCheck | None = None  # the same worker's check at `figures.before_epoch`
    runs: tuple[Span, ...] = ()  # each attempt
    pauses: tuple[Span, ...] = ()
    confirmations: tuple[Span, ...] = ()
    held_out: HeldOut | None = None
    checked_at: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # by worker; judged checks
    cost_per_hour: float | None = None


MOST_INTERVALS = 100  # each takes some 20 ms; beyond, only the pictured worker's latest checks have one


def assemble(
    spec: RaceSpec,
    standing: Standing,
    lines: Iterable[RecordedLine],
    events: Iterable[Event],
    held_out: Content | None = None,
) -> FigureEvidence:
    """What the figures of this race show. `lines` in the order of arrival, of any number of workers.

    `held_out` is what the winner's confirmation reported.
    """
    target = pictured(standing)
    checks = _Checks(spec, target, spec.figures.before_epoch, _with_intervals(standing, target))
    for line in lines:
        checks.take(line)
    times = _Times()
    for event in events:
        times.take(event)
    return FigureEvidence(
        standing=standing,
        success=spec.success,
        figures=spec.figures,
        curves={name: tuple(sorted(points, key=_epoch)) for name, points in checks.curves.items()},
        chosen=checks.chosen,
        before=checks.before,
        runs=tuple(times.runs.all()),
        pauses=tuple(times.pauses.all()),
        confirmations=tuple(times.confirmations.all()),
        held_out=times.held_out(spec, held_out) if standing.confirmed else None,
        checked_at={name: tuple(at) for name, at in checks.checked_at.items()},
        cost_per_hour=spec.cost_per_hour,
    )


def pictured(standing: Standing) -> tuple[str, int] | None:
    """The worker and the epoch whose check is drawn: the winning one, or the best so far; None before any check."""
    if standing.winner is not None and standing.winner_epoch is not None:
        return standing.winner, standing.winner_epoch
    best = best_so_far(standing)
    return None if best is None else (best[0].name, best[1].epoch)


def _with_intervals(standing: Standing, target: tuple[str, int] | None) -> frozenset[str]:
    """The workers whose curves get a band."""
    checks = {worker.name: worker.checks for worker in standing.workers}
    if sum(checks.values()) <= MOST_INTERVALS:
        return frozenset(checks)
    return frozenset() if target is None else frozenset({target[0]})


def _epoch(point: CurvePoint) -> int:
    return point.epoch


@dataclass(slots=True)
class _Checks:
    spec: RaceSpec
    target: tuple[str, int] | None
    before_epoch: int
    banded: frozenset[str]
    curves: dict[str, list[CurvePoint]] = field(default_factory=dict)
    checked_at: dict[str, list[float]] = field(default_factory=dict)
    chosen: PicturedCheck | None = None
    before: PicturedCheck | None = None
    intervals: int = 0

    def take(self, line: RecordedLine) -> None:
        if line.judged and line.results:
            self.curves.setdefault(line.worker, []).append(self._point(line))
            self.checked_at.setdefault(line.worker, []).append(line.at)
        if self.target is None or line.worker != self.target[0] or self.chosen is not None:
            return
        if line.judged and line.epoch == self.target[1]:
            self.chosen = _picture(line)
        elif line.epoch == self.before_epoch:
            self.before = _picture(line)

    def _point(self, line: RecordedLine) -> CurvePoint:
        interval = None
        if line.worker in self.banded and self.intervals < MOST_INTERVALS:
            self.intervals += 1
            interval = _interval(self.spec, line.content())
        return CurvePoint(line.epoch, line.results[0].value, interval)


def _picture(line: RecordedLine) -> PicturedCheck:
    return PicturedCheck(line.worker, line.epoch, line.results, line.content())


def _interval(spec: RaceSpec, content: Content) -> Interval | None:
    return referee.interval(spec.success[0], content.metrics, content.samples)


@dataclass(slots=True)
class _Spans:
    """Times that begin and end."""

    closed: list[Span] = field(default_factory=list)
    opened: dict[str, float] = field(default_factory=dict)

    def begin(self, worker: str, at: float) -> None:
        self.end(worker, at)
        self.opened[worker] = at

    def end(self, worker: str, at: float) -> None:
        started = self.opened.pop(worker, None)
        if started is not None:
            self.closed.append(Span(worker, started, at))

    def all(self) -> list[Span]:
        still = [Span(worker, started, None) for worker, started in self.opened.items()]
        return sorted([*self.closed, *still], key=lambda span: span.started)


@dataclass(slots=True)
class _Times:
    runs: _Spans = field(default_factory=_Spans)
    pauses: _Spans = field(default_factory=_Spans)
    confirmations: _Spans = field(default_factory=_Spans)
    confirmed: ev.ConfirmationEnded | None = None  # the last one; the verdict follows upon it

    def take(self, event: Event) -> None:
        match event:
            case ev.WorkerStarted():
                self.runs.begin(event.worker, event.at)
            case ev.WorkerExited():
                self.runs.end(event.worker, event.at)
                self.pauses.end(event.worker, event.at)
            case ev.WorkerPaused():
                self.pauses.begin(event.worker, event.at)
            case ev.WorkerUnpaused():
                self.pauses.end(event.worker, event.at)
            case ev.ConfirmationStarted():
                self.confirmations.begin(event.worker, event.at)
            case ev.ConfirmationEnded():
                self.confirmations.end(event.worker, event.at)
                self.confirmed = event
            case _:
                pass

    def held_out(self, spec: RaceSpec, content: Content | None) -> HeldOut | None:
        if self.confirmed is None or not self.confirmed.results:
            return None
        return HeldOut(self.confirmed.results, None if content is None else _interval(spec, content))
