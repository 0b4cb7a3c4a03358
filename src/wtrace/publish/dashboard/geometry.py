"""Curves, axes and labels as SVG, in whole units of a box that the page stretches to its width."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.text import MINUS, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wtrace.publish.dashboard.curves import Point

PIXELS_HIGH = 200  # of a chart
APART = 17  # pixels from one number to the next
NEAR = 6  # percent of the chart's width
COLUMN = PIXELS_HIGH // APART  # as many fit above one another


@data
class Badge:
    """A place in a chart: `x` in percent of its width, moved right by `shift` pixels; heights in pixels from the top."""

    x: float
    y: float
    shift: int
    end: float  # the height of the curve's end, from where a line leads to the badge


@data
class End:
    """The end of a curve."""

    x: float
    y: float
    number: int


def placed(ends: Iterable[End]) -> Mapping[int, Badge]:
    """A badge for each end, by number. Ends near one another share columns in which they are moved apart."""
    badges: dict[int, Badge] = {}
    for group in _neighbours(ends):
        badges.update(_moved_apart(group))
    return badges


def _neighbours(ends: Iterable[End]) -> list[list[End]]:
    groups: list[list[End]] = []
    for end in sorted(ends, key=lambda end: (end.x, end.y)):
        if groups and end.x - groups[-1][-1].x < NEAR:
            groups[-1].append(end)
        else:
            groups.append([end])
    return groups


def _moved_apart(group: Sequence[End]) -> dict[int, Badge]:
    columns = -(-len(group) // COLUMN)
    right = max(end.x for end in group)
    ordered = sorted(group, key=lambda end: end.y)
    badges = {}
    for column in range(columns):
        part = ordered[column::columns]
        for end, y in zip(part, _apart([end.y for end in part]), strict=True):
            x = end.x if len(group) == 1 else right
            badges[end.number] = Badge(x, round(y, 1), column * (APART + 1), end.y)
    return badges


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights, ascending, moved so that neighbours are `APART` and all lie within the chart."""
    half = APART / 2
    found: list[float] = []
    for height in heights:
        found.append(max(height, found[-1] + APART if found else half))
    limit = PIXELS_HIGH - half
    for index in range(len(found) - 1, -1, -1):
        found[index] = min(found[index], limit)
        limit = found[index] - APART
    return found


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


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST = 1e150  # a value beyond that, on either side, is drawn there
_LEAST = 1e-150
_LEAST_P = 1e-300
_DEEPEST = 6  # powers of ten that are drawn below the threshold of a p value
_MARGIN = 0.06  # of the height, above and below
_TICKS = 4


@data
class Axis:
    """A range of values. `log`: by their decimal logarithm."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1; one from outside lies on the edge."""
        return self.shares([value])[0]

    def shares(self, values: Sequence[float]) -> list[float]:
        """The same for many values at once, which is several times as quick."""
        low, high = self.low, self.high
        if self.log:
            low, high = math.log10(low), math.log10(high)
            values = [math.log10(value) if value > _LEAST_P else -300.0 for value in values]
        factor = 1 / (high - low)
        found = [(value - low) * factor for value in values]
        return [share if 0.0 <= share <= 1.0 else 1.0 if share > 1.0 else 0.0 for share in found]

    def ticks(self) -> list[tuple[float, str]]:
        """A few round values with how they are written."""
        return _powers(self.low, self.high) if self.log else _round_values(self.low, self.high)


def value_axis(values: Iterable[float], threshold: float, *, log: bool) -> Axis:
    """An axis that shows the values and the threshold.

    A few values far away from all others are left outside, so that they do not press the others flat; of p values
    what lies many powers of ten below the threshold.
    """
    found = sorted(values)
    threshold = min(_MOST, max(-_MOST, threshold))
    return _log_axis(found, threshold) if log else _linear_axis(found, threshold)


def _linear_axis(found: Sequence[float], threshold: float) -> Axis:
    low, high = _main_part(found) if found else (threshold, threshold)
    low, high = max(-_MOST, min(low, threshold)), min(_MOST, max(high, threshold))
    span = high - low
    if span <= max(_LEAST, abs(high) * 1e-9):  # one value, or as good as one
        span = abs(high) if abs(high) > _LEAST else 1.0
        low, high = low - span / 2, high + span / 2
    return Axis(low - _MARGIN * span, high + _MARGIN * span)


def _main_part(found: Sequence[float]) -> tuple[float, float]:
    """The range without values that lie further off than twice the width of the middle 90 %."""
    last = len(found) - 1
    near, far = found[round(last * 0.05)], found[round(last * 0.95)]
    reach = 2 * (far - near)
    if len(found) < 20 or reach <= 0:
        return found[0], found[-1]
    return max(found[0], near - reach), min(found[-1], far + reach)


def _log_axis(found: Sequence[float], threshold: float) -> Axis:
    goal = max(threshold, _LEAST_P)
    low = max(found[0] if found else goal, goal * 10**-_DEEPEST, _LEAST_P)
    high = max(found[-1] if found else goal, goal)
    low, high = min(low, goal) / 2, min(high * 1.5, max(1.0, goal))
    return Axis(low, max(high, low * 100), log=True)


def _powers(low: float, high: float) -> list[tuple[float, str]]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, -(-(last - first) // _TICKS))
    powers = range(last, first - 1, -step)
    return [(10.0**power, _power(power)) for power in powers]


def _power(power: int) -> str:
    if -2 <= power <= 3:
        return number(10.0**power)
    return f"10{str(power).translate(_SUPERSCRIPT)}"


def _round_values(low: float, high: float) -> list[tuple[float, str]]:
    step = round_step((high - low) / _TICKS)
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    values = [float(f"{(first + index) * step:.12g}") for index in range(min(count, 3 * _TICKS))]
    return [(value, _label(value, step)) for value in values]


def _label(value: float, step: float) -> str:
    """With as many decimals as tell neighbouring ticks apart."""
    if value == 0 or not 1e-4 <= step <= abs(value) < 1e6:
        return number(value)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}".replace("-", MINUS)


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least so much."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def epoch_axis(reached: int, max_epochs: int, check_every: int) -> Axis:
    """The epochs from 0 to the eighth of the plan that holds all that was reached, so that the end seldom moves."""
    most = max(reached, max_epochs, 1)
    shown = max(reached, min(2 * check_every, most))
    return Axis(0, next(end for part in range(1, 9) if (end := -(-most * part // 8)) >= shown))


def epoch_ticks(axis: Axis) -> list[tuple[float, str]]:
    """A few whole epochs, the first 0."""
    step = max(1, round(round_step(axis.high / 5)))
    return [(float(epoch), f"{epoch}") for epoch in range(0, int(axis.high) + 1, step)]
