"""The charts of a race: one per criterion, all workers' curves over the epochs, and the goal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging import forecast
from wtrace.publish.dashboard.geometry import (
    Badge,
    Box,
    Line,
    end_of,
    epoch_axis,
    epoch_ticks,
    line,
    placed,
    value_axis,
)
from wtrace.publish.view import MET, best_so_far
from wtrace.text import beside, bound, number, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.judging.checks import CriterionInfo
    from wtrace.publish.dashboard.curves import Curves, Point
    from wtrace.publish.dashboard.geometry import Axis
    from wtrace.race.status import Standing

    Series = Sequence[Sequence[Point]]  # one curve per worker, in the order of the table

MOST_DRAWN = 12_000  # points of the whole page: about half a megabyte
CROWD = 6  # workers; with more, only the leader's curve stands out and has its confidence band
MOST_BADGES = 24  # workers whose curves carry their number
MOST_MARKED = 12  # workers whose checks are each marked
SUMMED_UP = 20  # workers that a chart's description tells


@data
class Tick:
    """A label of an axis, and its place: percent of the width, or pixels from the top."""

    at: float
    text: str


@data
class Chart:
    """One criterion over the epochs."""

    number: int
    name: str
    text: str
    bound: str
    written: str | None  # the threshold as written, where another is applied
    log: bool
    low: float
    high: float
    last_epoch: float
    goal: float  # pixels from the top
    goal_above: bool
    value_ticks: Sequence[Tick]
    epoch_ticks: Sequence[Tick]
    lines: Sequence[Line]
    star: Badge | None
    outside: int  # values beyond the edges
    constant: str | None  # said in place of a chart: one value that never changed
    summary: str


@data
class Drawing:
    """All charts, and what a reader should know about how they were drawn."""

    charts: Sequence[Chart]
    notes: Sequence[str]
    crowd: bool  # so many curves that only the leader's stands out


def points_of_a_curve(standing: Standing) -> int:
    """How many points of each curve are drawn at most."""
    return max(24, MOST_DRAWN // max(1, len(standing.workers) * len(standing.criteria)))


def whose_bands(standing: Standing) -> Sequence[str]:
    """The workers whose bands are drawn: a crowd's would cover each other."""
    if len(standing.workers) <= CROWD:
        return [worker.name for worker in standing.workers]
    best = best_so_far(standing)
    leader = standing.winner or (best[0].name if best else None)
    return [] if leader is None else [leader]


def draw(standing: Standing, curves: Curves) -> Drawing:
    """The charts of a race, in the order of its criteria; at most `MOST_DRAWN` points, whatever its size."""
    names = [worker.name for worker in standing.workers]
    most = points_of_a_curve(standing)
    last = max((points[-1].epoch for name in names if (points := curves.of(name, 0))), default=0)
    planned = max((worker.max_epochs for worker in standing.workers), default=1)
    epochs = epoch_axis(last, planned, standing.check_every)
    charts = [
        _chart(standing, index, [curves.thin(name, index, most) for name in names], epochs)
        for index in range(len(standing.criteria))
    ]
    return Drawing(charts, _notes(standing, curves, charts, most), len(names) > CROWD)


def _notes(standing: Standing, curves: Curves, charts: Sequence[Chart], most: int) -> list[str]:
    notes = []
    longest = max((curves.checks(worker.name) for worker in standing.workers), default=0)
    if longest > most:
        notes.append(
            f"A curve is drawn with at most {most} of its up to {longest} checks: the lowest and the highest "
            "of each stretch of epochs."
        )
    if any(line.band for chart in charts for line in chart.lines):
        whose = "The leader's" if len(standing.workers) > CROWD else "Each worker's"
        notes.append(f"{whose} 95 % confidence intervals are shaded, where its samples give them.")
    return notes


def _chart(standing: Standing, index: int, series: Series, epochs: Axis) -> Chart:
    info = standing.criteria[index]
    values = [point.value for points in series for point in points if point.value is not None]
    banded = _banded(standing, series)
    ends = [end for points in banded for point in points if point.band for end in point.band]
    log = forecast.is_p_value(info)
    box = Box(epochs, value_axis([*values, *ends], info.applied, log=log))
    return Chart(
        number=index + 1,
        name=plain(info.name, 64),
        text=plain(info.text, 300),
        bound=bound(info.op, info.applied),
        written=None if info.applied == info.threshold else bound(info.op, info.threshold),
        log=log,
        low=box.values.low,
        high=box.values.high,
        last_epoch=epochs.high,
        goal=box.pixels(info.applied),
        goal_above=not info.op.startswith("<"),
        value_ticks=[Tick(box.pixels(value), text) for value, text in box.values.ticks()],
        epoch_ticks=[Tick(box.percent(epoch), text) for epoch, text in epoch_ticks(epochs)],
        lines=_lines(box, series, banded),
        star=_star(standing, series, box),
        outside=sum(not box.values.low <= value <= box.values.high for value in values),
        constant=_constant(series, values),
        summary=_summary(info, standing, series),
    )


def _lines(box: Box, series: Series, banded: Series) -> list[Line]:
    ends = [end_of(number, box, points) for number, points in enumerate(series, 1)]
    badges = placed(end for end in ends if end is not None) if len(series) <= MOST_BADGES else {}
    dots = len(series) <= MOST_MARKED
    return [
        line(number, box, points, banded[number - 1], badges.get(number), dots=dots)
        for number, points in enumerate(series, 1)
    ]


def _banded(standing: Standing, series: Series) -> Series:
    """The curves whose bands are drawn."""
    names = whose_bands(standing)
    rows = zip(standing.workers, series, strict=True)
    return [points if worker.name in names else () for worker, points in rows]


def _star(standing: Standing, series: Series, box: Box) -> Badge | None:
    """The place of the winning check, where it is among those drawn."""
    for worker, points in zip(standing.workers, series, strict=True):
        if worker.name != standing.winner:
            continue
        for point in points:
            if point.epoch == standing.winner_epoch and point.value is not None:
                y = box.pixels(point.value)
                return Badge(box.percent(point.epoch), y, 0, y)
    return None


def _constant(series: Series, values: Sequence[float]) -> str | None:
    points = [point for each in series for point in each]
    if len(points) < 3 or len(values) < len(points) or len(set(values)) > 1:
        return None
    if not all(point.met for point in points):
        return None
    return f"{MET} {number(values[0])} at every check of every worker"


def _summary(info: CriterionInfo, standing: Standing, series: Series) -> str:
    """The chart in words, for who cannot see it."""
    ends = [
        f"{plain(worker.name, 40)} {beside(points[-1].value, info.applied)}{' (met)' if points[-1].met else ''}"
        for worker, points in zip(standing.workers, series, strict=True)
        if points
    ]
    told = ", ".join(ends[:SUMMED_UP]) or "no check yet"
    return f"{plain(info.name, 40)} over the epochs, goal {bound(info.op, info.applied)}. Latest: {told}."
