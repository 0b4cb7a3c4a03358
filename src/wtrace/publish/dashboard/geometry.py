"""Curves as SVG paths, in whole units of a box that the page stretches to its width."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.publish.dashboard.badges import PIXELS_HIGH, Badge, End

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wtrace.publish.dashboard.curves import Point
    from wtrace.publish.dashboard.scales import Axis

WIDTH, HEIGHT = 4000, 2000
MOST_DOTS = 40  # checks of a curve that are each marked

Place = tuple[int, int]


@data
class Box:
    """A chart's axes, and the places that values have between them."""

    epochs: Axis
    values: Axis

    def xs(self, epochs: Sequence[float]) -> list[int]:
        """Units from the left."""
        return [int(WIDTH * share + 0.5) for share in self.epochs.shares(epochs)]

    def ys(self, values: Sequence[float]) -> list[int]:
        """Units from the top."""
        return [int(HEIGHT * (1 - share) + 0.5) for share in self.values.shares(values)]

    def percent(self, epoch: float) -> float:
        """Percent of the width."""
        return round(100 * self.epochs.share(epoch), 2)

    def pixels(self, value: float) -> float:
        """Pixels from the top: the height of a chart is fixed."""
        return round(PIXELS_HIGH * (1 - self.values.share(value)), 1)


@data
class Line:
    """One worker's curve: what is drawn, and the values that are shown where the reader points."""

    number: int
    path: str
    dots: str
    holes: str  # the dots of checks that did not meet the criterion
    band: str
    badge: Badge | None
    epochs: Sequence[int]
    values: Sequence[float | None]
    met: str  # a digit per check; 1: met


def line(
    number: int,
    box: Box,
    points: Sequence[Point],
    banded: Sequence[Point],
    badge: Badge | None,
    *,
    dots: bool,
) -> Line:
    """The curve through the points, with a band along those of `banded` that have an interval."""
    stretches = _stretches(box, points)
    known = [point for point in points if point.value is not None]
    dots = (dots and len(points) <= MOST_DOTS) or len(known) == 1
    return Line(
        number=number,
        path="".join(map(path, stretches)),
        dots=_dots(box, known) if dots else "",
        holes=_dots(box, [point for point in known if not point.met]) if dots else "",
        band=band_path(box, banded),
        badge=badge,
        epochs=[point.epoch for point in points],
        values=[point.value for point in points],
        met="".join("1" if point.met else "0" for point in points),
    )


def end_of(number: int, box: Box, points: Sequence[Point]) -> End | None:
    """Where the curve ends; None where it has no value."""
    for point in reversed(points):
        if point.value is not None:
            return End(box.percent(point.epoch), box.pixels(point.value), number)
    return None


def path(places: Sequence[Place]) -> str:
    """Straight from place to place."""
    return "M" + " ".join([f"{x} {y}" for x, y in places])


def _stretches(box: Box, points: Sequence[Point]) -> list[list[Place]]:
    """The places of the checks; one without a number parts them."""
    parts = _parted(points, lambda point: point.value is not None)
    return [_places(box, part) for part in parts]


def _places(box: Box, points: Sequence[Point]) -> list[Place]:
    xs = box.xs([point.epoch for point in points])
    ys = box.ys([point.value for point in points if point.value is not None])
    return list(zip(xs, ys, strict=True))


def _parted(points: Sequence[Point], fits: Callable[[Point], bool]) -> list[list[Point]]:
    return [list(part) for good, part in groupby(points, fits) if good]


def _dots(box: Box, points: Sequence[Point]) -> str:
    """Lines of no length: with round ends they are dots that keep their form when the chart is stretched."""
    return "".join(f"M{x} {y}h0" for x, y in _places(box, points))


def band_path(box: Box, points: Sequence[Point]) -> str:
    """The area between the ends of the intervals, in pieces where checks without one lie between."""
    parts = _parted(points, lambda point: point.band is not None)
    return "".join(_area(box, part) for part in parts if len(part) > 1)


def _area(box: Box, part: Sequence[Point]) -> str:
    bands = [point.band for point in part if point.band is not None]
    xs = box.xs([point.epoch for point in part])
    upper = zip(xs, box.ys([high for _, high in bands]), strict=True)
    lower = zip(xs, box.ys([low for low, _ in bands]), strict=True)
    return path([*upper, *reversed(list(lower))]) + "Z"
