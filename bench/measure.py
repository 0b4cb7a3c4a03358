"""Measuring fairly: both sides take turns in one run; medians, their spread and the ratio are printed."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Options:
    """How a benchmark was asked to run. `smoke`: only whether it works at all, within seconds."""

    smoke: bool
    seconds: float

    def pick(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full


def options(description: str | None, seconds: float = 50.0) -> Options:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--smoke", action="store_true", help="the smallest run, to see that it works")
    parser.add_argument("--seconds", type=float, default=seconds, help="start no new round after this time")
    given = parser.parse_args()
    return Options(given.smoke, 1.0 if given.smoke else given.seconds)


@dataclass(frozen=True, slots=True)
class Summary:
    """What one side measured."""

    median: float
    low: float  # quartiles
    high: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `value` is held against `limit`; `low` and `high` are where it may well lie."""

    figure: str
    what: str
    value: float | None  # None: not measured, `note` says why
    limit: float
    unit: str  # "×" for a ratio
    low: float | None = None
    high: float | None = None
    sides: Mapping[str, Summary] = field(default_factory=dict)
    side_unit: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.value <= self.limit


def interleave(
    sides: Mapping[str, Callable[[], float]], *, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Let the sides take turns, each round in another order, until the rounds or the time are used up."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    deadline = time.monotonic() + seconds
    order = list(sides)
    for _ in range(rounds):
        for name in order:
            measured[name].append(sides[name]())
        order = [*order[1:], order[0]]
        if time.monotonic() > deadline:
            break
    return measured


def summary(values: Sequence[float], scale: float = 1.0) -> Summary:
    scaled = sorted(value * scale for value in values)
    if len(scaled) == 1:
        return Summary(scaled[0], scaled[0], scaled[0], 1)
    low, median, high = statistics.quantiles(scaled, n=4, method="inclusive")
    return Summary(median, low, high, len(scaled))


def ratio(ours: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of medians, and the middle 95 % of what resampling both sides gives."""
    dice = random.Random(0)
    found = sorted(
        statistics.median(dice.choices(ours, k=len(ours)))
        / statistics.median(dice.choices(other, k=len(other)))
        for _ in range(RESAMPLES)
    )
    value = statistics.median(ours) / statistics.median(other)
    return value, found[RESAMPLES // 40], found[-RESAMPLES // 40]


def ratio_row(
    figure: str,
    what: str,
    measured: Mapping[str, Sequence[float]],
    *,
    ours: str,
    other: str,
    limit: float,
    unit: str = "ms",
    note: str = "",
) -> Row:
    """A row that compares two sides; values are seconds, shown in `unit` ("s", "ms"; "" as they are)."""
    scale = 1000.0 if unit == "ms" else 1.0
    value, low, high = ratio(measured[ours], measured[other])
    sides = {name: summary(measured[name], scale) for name in (ours, other)}
    return Row(figure, what, value, limit, "×", low, high, sides, unit, note)


def value_row(
    figure: str, what: str, values: Sequence[float], *, limit: float, unit: str, note: str = ""
) -> Row:
    """A row that holds a median against an absolute limit."""
    found = summary(values)
    return Row(figure, what, found.median, limit, unit, found.low, found.high, {"wtrace": found}, unit, note)


def worst_row(
    figure: str, what: str, values: Sequence[float], *, limit: float, unit: str, note: str = ""
) -> Row:
    """A row that holds the worst round against an absolute limit."""
    found = summary(values)
    return Row(
        figure, what, max(values), limit, unit, min(values), max(values), {"wtrace": found}, unit, note
    )


def skipped(figure: str, what: str, limit: float, unit: str, why: str) -> Row:
    return Row(figure, what, None, limit, unit, note=why)


def tell(rows: Sequence[Row]) -> None:
    """Print the rows for people, then each as a line of JSON for `run_all.py`."""
    load = os.getloadavg()[0]
    for row in rows:
        print(_for_people(row))
    print(f"load average {load:.1f} on {os.cpu_count()} cores")
    for row in rows:
        print(json.dumps({**asdict(row), "met": row.met, "load": load}, ensure_ascii=False))


def _for_people(row: Row) -> str:
    if row.value is None:
        return f"{row.figure}  {row.what}: not measured ({row.note})"
    sides = "; ".join(
        f"{name} {side.median:.4g} {row.side_unit} ({side.low:.4g} to {side.high:.4g}, n={side.rounds})"
        for name, side in row.sides.items()
    )
    spread = "" if row.low is None else f" ({row.low:.3g} to {row.high:.3g})"
    verdict = "met" if row.met else "MISSED"
    note = f" [{row.note}]" if row.note else ""
    return f"{row.figure}  {row.what}: {row.value:.3g} {row.unit}{spread}, at most {row.limit:g}: {verdict}; {sides}{note}"
