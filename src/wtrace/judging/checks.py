"""What the referee says of one check, by one criterion and in all."""

from __future__ import annotations

from math import inf, isfinite

from wtrace.data import data


def closeness(op: str, value: float | None) -> float:
    """A key that is greater for a value closer to meeting `op`, and least where there is no number."""
    if value is None or not isfinite(value):
        return -inf
    return -value if op.startswith("<") else value


@data
class CriterionStanding:
    """One criterion at a judged check. `threshold` is the one applied, after correction."""

    name: str
    value: float | None
    op: str
    threshold: float
    met: bool
    reason: str | None = None  # why there is no value, or why it cannot count


@data
class CheckSummary:
    """One judged check: a point of the curves. `values` are in the order of the race's criteria."""

    epoch: int
    at: float  # seconds since 1970
    values: tuple[float | None, ...]
    met: tuple[bool, ...]


def rank(point: CheckSummary, op: str) -> tuple[int, float]:
    """A key by which checks compare: criteria met, then the value of the first one, whose operator is `op`.

    A function, since `wtrace status` reads rows that only have the same fields.
    """
    return sum(point.met), closeness(op, point.values[0])


@data
class CriterionInfo:
    """A criterion as the user wrote it, and the threshold that is applied."""

    name: str
    text: str
    op: str
    threshold: float  # as written
    applied: float  # after correction
    p_value: bool = False  # what is compared is a p value
    for_checks: int = 1  # in a row at which it must hold
    min_checks: int = 1  # a worker's first check that may meet it
