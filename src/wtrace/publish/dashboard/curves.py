"""The judged checks of a race as curves: fed one check at a time, and bounded however long the race runs."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.judging.checks import CheckSummary

MOST_POINTS = 512  # of one curve; above, it is thinned to half of them

Band = tuple[float, float]
"""The low and the high end of a confidence interval."""


@data
class Point:
    """One criterion at one judged check. `value` has four digits, and is None where there is no finite number."""

    epoch: int
    value: float | None
    met: bool
    band: Band | None = None


class Curves:
    """Per worker and criterion the judged checks, by epoch.

    A curve of more than `most` checks is thinned: of each stretch of epochs its lowest and its highest stay.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = max(8, most)
        self._series: dict[str, list[list[Point]]] = {}
        self._checks: dict[str, int] = {}
        self._thin: dict[tuple[str, int], tuple[int, list[Point]]] = {}

    def add(self, worker: str, check: CheckSummary, bands: Sequence[Band | None] = ()) -> None:
        """Take a judged check in, with the confidence interval of each criterion where there is one.

        Checks may come in any order of epochs; a second one of the same epoch takes the place of the first.
        """
        series = self._series.setdefault(worker, [[] for _ in check.values])
        self._checks[worker] = self._checks.get(worker, 0) + 1
        found = [*bands, *[None] * len(check.values)]
        rows = zip(series, check.values, check.met, found, strict=False)
        for points, value, met, band in rows:
            _put(points, Point(check.epoch, _number(value), met, _band(band)))
            if len(points) > self._most:
                points[:] = thinned(points, self._most // 2)
        self._forget_thin(worker)

    def restore(self, worker: str, series: Sequence[Sequence[Point]], checks: int) -> None:
        """Put in the curves of a worker as they were taken out; `checks`: how many it had, the thinned out ones too."""
        self._series[worker] = [[] for _ in series]
        for points, found in zip(self._series[worker], series, strict=True):
            for point in found:
                _put(points, Point(point.epoch, _number(point.value), point.met, _band(point.band)))
            if len(points) > self._most:
                points[:] = thinned(points, self._most)
        self._checks[worker] = checks
        self._forget_thin(worker)

    def add_bands(self, worker: str, epoch: int, bands: Sequence[Band | None]) -> None:
        """Give a check that was added its confidence intervals later. One that was thinned out is passed over."""
        for points, band in zip(self._series.get(worker, ()), bands, strict=False):
            index = _place(points, epoch)
            if index < len(points) and points[index].epoch == epoch:
                old = points[index]
                points[index] = Point(epoch, old.value, old.met, _band(band))
        self._forget_thin(worker)

    def _forget_thin(self, worker: str) -> None:
        for criterion in range(len(self._series.get(worker, ()))):
            self._thin.pop((worker, criterion), None)

    def of(self, worker: str, criterion: int) -> Sequence[Point]:
        """One curve, by epoch; empty where nothing has been judged. `criterion` is the index in the race's order."""
        series = self._series.get(worker, [])
        return series[criterion] if criterion < len(series) else ()

    def thin(self, worker: str, criterion: int, most: int) -> Sequence[Point]:
        """The same, `thinned`; kept until the curve changes, since a page is written more often than that."""
        known = self._thin.get((worker, criterion))
        if known is None or known[0] != most:
            known = most, thinned(self.of(worker, criterion), most)
            self._thin[worker, criterion] = known
        return known[1]

    def checks(self, worker: str) -> int:
        """How many checks were added, those that were thinned out too."""
        return self._checks.get(worker, 0)


def _place(points: Sequence[Point], epoch: int) -> int:
    if not points or points[-1].epoch < epoch:  # nearly always
        return len(points)
    return bisect_left(points, epoch, key=lambda point: point.epoch)


def _put(points: list[Point], point: Point) -> None:
    index = _place(points, point.epoch)
    if index < len(points) and points[index].epoch == point.epoch:
        points[index] = point
    else:
        points.insert(index, point)


def _number(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


def _band(band: Band | None) -> Band | None:
    return band if band is not None and all(map(math.isfinite, band)) else None


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of the points (4 at the least): the first, the last, and what stands out in each stretch between.

    Stretches are of equal length in epochs, so that thinning again and again does not starve the older ones.
    """
    if len(points) <= max(4, most):
        return list(points)
    first, last = points[0], points[-1]
    stretches = (max(4, most) - 2) // 2
    span = last.epoch - first.epoch
    groups: list[list[Point]] = [[] for _ in range(stretches)]
    for point in points[1:-1]:
        groups[(point.epoch - first.epoch) * stretches // span].append(point)
    kept = [first]
    for group in groups:
        kept.extend(_standing_out(group))
    kept.append(last)
    return kept


def _standing_out(group: Iterable[Point]) -> list[Point]:
    """The lowest and the highest in their order; a stretch without any number keeps one point, as a gap."""
    low: Point | None = None
    high: Point | None = None
    gap: Point | None = None
    for point in group:
        if point.value is None:
            gap = gap or point
            continue
        if low is None or low.value is None or point.value < low.value:
            low = point
        if high is None or high.value is None or point.value > high.value:
            high = point
    if low is None or high is None:
        return [] if gap is None else [gap]
    if low is high:
        return [low]
    return [low, high] if low.epoch < high.epoch else [high, low]
