"""From values to places in a chart: the axes of epochs and of values, and their ticks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.text import MINUS, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
