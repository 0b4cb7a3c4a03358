"""What the figures rest on: the standing, and of the recorded checks what is pictured."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wtrace.config.language.criteria import Criterion
    from wtrace.config.spec import FiguresSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.judging.referee import Interval
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
