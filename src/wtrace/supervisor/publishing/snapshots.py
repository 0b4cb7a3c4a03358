"""The standing and the curves of a race as they travel, and as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.mirror.snapshot import Snapshot
from wtrace.publish.dashboard.charts import points_of_a_curve
from wtrace.publish.dashboard.curves import Curves, Point

if TYPE_CHECKING:
    from wtrace.mirror.snapshot import Curve
    from wtrace.race.status import Standing


def snapshot_of(standing: Standing, curves: Curves, *, every_s: float, closed: bool) -> Snapshot:
    """What a mirror needs to show the table and to draw the page; of the curves as much as the page draws."""
    most = points_of_a_curve(standing)
    numbers = range(len(standing.criteria))
    names = [worker.name for worker in standing.workers if curves.checks(worker.name)]
    return Snapshot(
        1,
        closed,
        standing,
        {name: tuple(_curve(curves, name, number, most) for number in numbers) for name in names},
        {name: curves.checks(name) for name in names},
        every_s,
    )


def _curve(curves: Curves, worker: str, number: int, most: int) -> Curve:
    points = curves.thin(worker, number, most)
    return tuple((point.epoch, point.value, point.met, point.band) for point in points)


def curves_of(snapshot: Snapshot) -> Curves:
    """The curves of a snapshot, whatever it holds."""
    curves = Curves()
    for worker, series in snapshot.curves.items():
        points = [[Point(*check) for check in curve] for curve in series]
        curves.restore(worker, points, snapshot.checks.get(worker, 0))
    return curves
