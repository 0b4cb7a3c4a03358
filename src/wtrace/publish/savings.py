"""What stopping early saved: planned epochs that nobody trained, at the pace that each worker had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.publish.view import elapsed_s, epoch_pace_s
from wtrace.text import number, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.race.status import Standing, WorkerStanding


@data
class Saving:
    """One worker's planned epochs that were not trained: the race was decided, or the worker had no chance left."""

    worker: str
    epochs: int
    epoch_s: float  # seconds per epoch, as measured between its checks

    @property
    def seconds(self) -> float:
        """How much longer it would have trained."""
        return self.epochs * self.epoch_s


def savings(standing: Standing) -> tuple[Saving, ...]:
    """What each worker was spared, of those that wtrace ended (the winner too) and whose pace is known."""
    ended = [row for row in standing.workers if row.state in ("terminated", "won") and row.ended is not None]
    found = [(row, epoch_pace_s(row)) for row in ended if row.epoch < row.max_epochs]
    return tuple(Saving(row.name, _left(row), pace_s) for row, pace_s in found if pace_s is not None)


def _left(row: WorkerStanding) -> int:
    return row.max_epochs - row.epoch


def machine_s(saved: Sequence[Saving]) -> float:
    """How much longer the machine would have been busy, all workers running beside one another as they did."""
    return max((each.seconds for each in saved), default=0.0)


def told(saved: Sequence[Saving], cost_per_hour: float | None) -> str:
    """The saving in one line; the money is that of the machine, not counted once per worker."""
    if not saved:
        return "nothing was saved by stopping early"
    total = sum(each.seconds for each in saved)
    words = (
        f"saved by stopping early: {seconds(total)} of training, {seconds(machine_s(saved))} of machine time"
    )
    if cost_per_hour is None:
        return words
    cost = machine_s(saved) / 3600 * cost_per_hour
    return f"{words}, a cost of {_money(cost)} at {number(cost_per_hour)} per hour"


def cost_line(standing: Standing, now: float) -> str | None:
    """What the race has cost so far, and once it is decided what was saved; None where no price is known."""
    if standing.cost_per_hour is None:
        return None
    cost = elapsed_s(standing, now) / 3600 * standing.cost_per_hour
    words = f"cost so far: {_money(cost)} at {number(standing.cost_per_hour)} per hour"
    saved = savings(standing)
    if not saved:
        return words
    spared = machine_s(saved) / 3600 * standing.cost_per_hour
    return f"{words}; saved by stopping early: {_money(spared)}, {seconds(machine_s(saved))} of machine time"


def _money(cost: float) -> str:
    return f"{cost:,.2f}" if cost >= 0.01 else "less than 0.01"
