"""Where each worker's number stands at the end of its curve, so that none covers another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
