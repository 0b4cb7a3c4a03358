"""When will every criterion hold? A robust line through each criterion's recent checks, and the pace of the checks.

The line is Theil and Sen's: the median of the slopes between all pairs of points, which a few wild checks do not
move. It is drawn over the logarithm of the epoch, since curves bend: what a training gains in its first ten epochs it
gains again by epoch 100, not by epoch 20. Its uncertainty is Sen's interval of the slopes. The line through the latest
checks alone must get there as well, and what it says of the uncertainty counts too. P values, which fall by orders of
magnitude, are fitted by their logarithm.
Sources: Theil (1950), Proc. KNAW 53:386; Sen (1968), JASA 63:1379.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise

TYPE_CHECKING = (
    False  # `wtrace status` needs this module, and importing `typing` or `dataclasses` costs too much
)
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from wtrace.judging.checks import CheckSummary, CriterionInfo

    Trend = Literal["rising", "falling", "flat"]

RECENT = 8  # checks; older ones say little, since learning curves bend
LATEST = 4  # checks by which a curve that bends away has given itself away
FEWEST = 3
ROUNDING = 1e-6  # epochs; a line that is there at epoch 30.0000000004 is there at 30
Z_80 = 1.2816  # 80 % of a normal distribution lie within so many standard deviations

MOST_LOG_EPOCH = 50.0  # beyond all plans, and its exponential is a float

NOT_ON_THIS_TREND = "not on this trend"
NO_CHECK_LEFT = "no check is left"
UNITS = (
    (1, "s", 90),
    (60, "min", 90 * 60),
    (3600, "h", 48 * 3600),
)  # seconds, name, used below so many seconds


class Estimate:
    """The time from now until every criterion is expected to hold, with the limits of an 80 % interval.

    `seconds` is None where there is no estimate, and `reason` says why; `high_s` is None where the slow end of the
    interval lies beyond the last epoch.
    """

    __slots__ = ("epoch", "high_s", "low_s", "reason", "seconds")

    def __init__(
        self,
        seconds: float | None,
        low_s: float | None = None,
        high_s: float | None = None,
        epoch: float | None = None,
        reason: str | None = None,
    ) -> None:
        self.seconds = seconds
        self.low_s = low_s
        self.high_s = high_s
        self.epoch = epoch
        self.reason = reason

    def after(self, elapsed_s: float) -> Estimate:
        """The same forecast so many seconds later, where nothing new has been seen."""
        seconds, low_s, high_s = (
            None if each is None else max(0.0, each - elapsed_s)
            for each in (self.seconds, self.low_s, self.high_s)
        )
        return Estimate(seconds, low_s, high_s, self.epoch, self.reason)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Estimate) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Estimate{self._values()}"

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


class Line:
    """A robust fit: `slope` with its 80 % limits, through the median of the points.

    `epochs` are in the units of the fit: epochs, or their logarithms.
    """

    __slots__ = ("epochs", "high", "low", "slope", "values")

    def __init__(
        self, slope: float, low: float, high: float, epochs: tuple[float, ...], values: tuple[float, ...]
    ) -> None:
        self.slope = slope
        self.low = low
        self.high = high
        self.epochs = epochs
        self.values = values

    def crossing(self, threshold: float, slope: float) -> float:
        """Where the line of this slope reaches the threshold, in the units of the fit."""
        level = median(y - slope * x for x, y in zip(self.epochs, self.values, strict=True))
        return (threshold - level) / slope


class Arrival:
    """The planned check at which a criterion is expected to hold; `high` is None beyond the last epoch."""

    __slots__ = ("epoch", "high", "low")

    def __init__(self, epoch: float, low: float, high: float | None) -> None:
        self.epoch = epoch
        self.low = low
        self.high = high


def estimate(
    points: Sequence[CheckSummary],
    criteria: Sequence[CriterionInfo],
    *,
    check_every: int,
    max_epochs: int,
    now: float,
    checks: int | None = None,
) -> Estimate:
    """When all criteria are expected to hold, from one worker's judged checks (oldest first) and the time now.

    `checks`: how many have been judged in all, where `points` are only the latest of them.
    """
    if len(points) < FEWEST and not (points and all(points[-1].met)):
        return Estimate(None, reason=f"fewer than {FEWEST} checks")
    last = points[-1]
    judged = len(points) if checks is None else checks
    schedule = Schedule(last.epoch, check_every, max_epochs)
    arrivals: list[Arrival] = []
    for index, criterion in enumerate(criteria):
        found = (
            held(points, index, criterion, judged, schedule)
            if last.met[index]
            else coming(points, index, criterion, judged, schedule)
        )
        if not isinstance(found, Arrival):
            return Estimate(None, reason=found)
        arrivals.append(found)
    if all(arrival.epoch == last.epoch for arrival in arrivals):
        return Estimate(0.0, 0.0, 0.0, epoch=float(last.epoch))
    pace_s = seconds_per_epoch(points)
    return (
        Estimate(None, reason="the pace is not known")
        if pace_s is None
        else timed(arrivals, last, pace_s, now)
    )


def held(
    points: Sequence[CheckSummary], index: int, criterion: CriterionInfo, judged: int, schedule: Schedule
) -> Arrival | str:
    """When a criterion that held at the latest check will have held as often as it must; or why it cannot."""
    for_checks, min_checks = checks_asked(criterion)
    running = next((n for n, point in enumerate(reversed(points)) if not point.met[index]), len(points))
    epoch = schedule.after_checks(max(for_checks - running, min_checks - judged, 0))
    return NO_CHECK_LEFT if epoch is None else Arrival(epoch, epoch, epoch)


def coming(
    points: Sequence[CheckSummary], index: int, criterion: CriterionInfo, judged: int, schedule: Schedule
) -> Arrival | str:
    """When a criterion that does not hold yet will have held as often as it must; or why that cannot be told."""
    if schedule.after_checks(1) is None:
        return NO_CHECK_LEFT
    pairs = [
        (math.log(max(1.0, epoch)), value)
        for epoch, value in series(points, index, logarithm=is_p_value(criterion))
    ]
    line, latest = fitted(pairs), fitted(pairs[-LATEST:])
    if line is None or latest is None:
        return f"fewer than {FEWEST} values of {criterion.name}"
    for_checks, min_checks = checks_asked(criterion)
    earliest = schedule.after_checks(max(min_checks - judged, 0))
    by_line, by_latest = (arrival_of(each, criterion, schedule) for each in (line, latest))
    if by_line is None or by_latest is None or earliest is None:
        return NOT_ON_THIS_TREND
    ends = [by_line.high, by_latest.high]
    found = [
        None if epoch is None else schedule.later(max(epoch, earliest), for_checks - 1)
        for epoch in (
            by_line.epoch,
            min(by_line.low, by_latest.low),
            None if None in ends else max(end for end in ends if end is not None),
        )
    ]
    if found[0] is None or found[1] is None:
        return NOT_ON_THIS_TREND
    return Arrival(found[0], found[1], found[2])


def checks_asked(criterion: CriterionInfo) -> tuple[int, int]:
    """`for_checks` and `min_checks`; a standing that an earlier version stored does not tell them."""
    return getattr(criterion, "for_checks", 1), getattr(criterion, "min_checks", 1)


def timed(arrivals: Sequence[Arrival], last: CheckSummary, pace_s: float, now: float) -> Estimate:
    """The latest of the arrivals, as a time from now."""

    def seconds_until(epoch: float) -> float:
        return max(0.0, (epoch - last.epoch) * pace_s - (now - last.at))

    epoch, low = max(a.epoch for a in arrivals), max(a.low for a in arrivals)
    highs = [a.high for a in arrivals if a.high is not None]
    high_s = seconds_until(max(highs)) if len(highs) == len(arrivals) else None
    return Estimate(seconds_until(epoch), seconds_until(low), high_s, epoch=epoch)


class Schedule:
    """The planned checks that are left after an epoch."""

    __slots__ = ("after", "check_every", "max_epochs")

    def __init__(self, after: int, check_every: int, max_epochs: int) -> None:
        self.after = after
        self.check_every = check_every
        self.max_epochs = max_epochs

    def check_at(self, epoch: float) -> float | None:
        """The first planned check at or after that epoch that is still to come; None beyond the last."""
        if not epoch <= self.max_epochs + ROUNDING:  # NaN too
            return None
        steps = max(
            math.ceil(max(epoch - ROUNDING, 0.0) / self.check_every), self.after // self.check_every + 1
        )
        return float(min(steps * self.check_every, self.max_epochs))

    def after_checks(self, count: int) -> float | None:
        """The planned check that comes so many after this epoch, itself for 0; None beyond the last."""
        return self.later(float(self.after), count)

    def later(self, epoch: float, count: int) -> float | None:
        """The planned check that comes so many after another one, itself for 0; None beyond the last."""
        for _ in range(count):
            if epoch >= self.max_epochs:
                return None
            epoch = min((epoch // self.check_every + 1) * self.check_every, float(self.max_epochs))
        return epoch


def arrival_of(line: Line, criterion: CriterionInfo, schedule: Schedule) -> Arrival | None:
    """When the line, over the logarithm of the epoch, reaches the applied threshold.

    None where it leads away, or not there before the last epoch.
    """
    wanted = 1 if criterion.op in (">", ">=") else -1
    threshold = logarithmic(criterion.applied) if is_p_value(criterion) else criterion.applied
    slow, fast = (line.low, line.high) if wanted > 0 else (line.high, line.low)

    def check_on(slope: float) -> float | None:
        if slope * wanted <= 0:
            return None
        crossing = line.crossing(threshold, slope)
        return schedule.check_at(math.exp(crossing)) if crossing < MOST_LOG_EPOCH else None

    epoch, low, high = check_on(line.slope), check_on(fast), check_on(slow)
    if epoch is None:
        return None
    return Arrival(
        epoch, epoch if low is None else min(low, epoch), None if high is None else max(high, epoch)
    )


def series(points: Sequence[CheckSummary], index: int, *, logarithm: bool) -> list[tuple[float, float]]:
    """(epoch, value) of one criterion at the recent checks that have a finite value."""
    found = [(float(p.epoch), p.values[index]) for p in points[-RECENT:]]
    finite = [(epoch, value) for epoch, value in found if value is not None and math.isfinite(value)]
    return [(epoch, logarithmic(value)) for epoch, value in finite] if logarithm else finite


def fitted(pairs: Sequence[tuple[float, float]]) -> Line | None:
    """The robust line through at least three points at different epochs, else None."""
    if len({epoch for epoch, _ in pairs}) < FEWEST:
        return None
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(pairs, 2) if x1 != x2)
    count, n = len(slopes), len(pairs)
    spread = Z_80 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = slopes[max(0, round((count - spread) / 2) - 1)]
    high = slopes[min(count - 1, round((count + spread) / 2))]
    epochs, values = zip(*pairs, strict=True)
    return Line(median(slopes), low, high, epochs, values)


def seconds_per_epoch(points: Sequence[CheckSummary]) -> float | None:
    """The median over neighbouring recent checks, which a pause or a restart between two of them does not move."""
    recent = points[-RECENT:]
    paces = [
        (later.at - earlier.at) / (later.epoch - earlier.epoch)
        for earlier, later in pairwise(recent)
        if later.epoch > earlier.epoch
    ]
    pace = median(paces) if paces else 0.0
    return pace if 0 < pace < math.inf else None


def is_p_value(criterion: CriterionInfo) -> bool:
    """Whether the criterion compares a p value; a standing that an earlier version stored does not tell."""
    return bool(getattr(criterion, "p_value", False))


def logarithmic(p: float) -> float:
    """The decimal logarithm of a p value, also of one too small for a float."""
    return math.log10(max(p, 1e-300))


def trend(points: Sequence[CheckSummary], index: int) -> Trend | None:
    """Where the recent values of one criterion go, at 80 % confidence; None with fewer than three values."""
    line = fitted(series(points, index, logarithm=False))
    if line is None:
        return None
    if line.low > 0:
        return "rising"
    return "falling" if line.high < 0 else "flat"


def describe(estimate_: Estimate) -> str:
    """`about 45 min` with its interval, `not on this trend`, or `no estimate:` with the reason."""
    if estimate_.seconds is None:
        reason = estimate_.reason or ""
        return reason if reason == NOT_ON_THIS_TREND else f"no estimate: {reason}"
    if estimate_.seconds == 0:
        return "any moment"
    unit_s, unit = next(
        ((size, name) for size, name, most_s in UNITS if estimate_.seconds < most_s), (86400, "d")
    )
    middle = quantity(estimate_.seconds / unit_s)
    low = quantity((estimate_.low_s or 0.0) / unit_s)
    if estimate_.high_s is None:
        return f"about {middle} {unit} (at least {low})"
    high = quantity(estimate_.high_s / unit_s)
    return f"about {middle} {unit}" if low == high else f"about {middle} {unit} ({low}–{high})"  # noqa: RUF001 - a range has an en dash


def quantity(value: float) -> str:
    """Two digits are all that an estimate has."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two in the middle (`statistics` costs 9 ms at import)."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
