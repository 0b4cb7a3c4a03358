"""What every export shows: for each worker, attempt, metric and criterion one value an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.status import ExitStanding, Standing, WorkerStanding


class Value(NamedTuple):
    """One point of a curve. `at`: when its line was read, seconds since 1970. NaN and infinity stay what they are."""

    epoch: int
    at: float
    value: float | None  # None: a criterion that had no number; `reason` says why
    met: bool | None = None  # of criteria
    reason: str | None = None


Curve = list[Value]


@data
class Attempt:
    """One attempt of a worker, its curves by name and each by epoch."""

    number: int
    started: float | None
    ended: float | None
    exit: ExitStanding | None
    metrics: dict[str, Curve]
    criteria: dict[str, Curve]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was reported."""
        return not (self.metrics or self.criteria)


@data
class WorkerCurves:
    """A worker, the settings that it was raced with, and its attempts."""

    row: WorkerStanding
    settings: dict[str, object]
    attempts: tuple[Attempt, ...]

    def run_name(self, attempt: Attempt) -> str:
        """What other tools call this attempt: the worker's name; of several attempts each by its number."""
        return self.row.name if len(self.attempts) == 1 else f"{self.row.name}/attempt-{attempt.number}"


@data
class RaceCurves:
    """A race with everything that is handed on. `settings`: its config without the workers, and without secrets."""

    standing: Standing
    settings: dict[str, object]
    workers: tuple[WorkerCurves, ...]


EPOCH_LINE, CHECK, JUDGED = range(3)
"""What a value was told by: the greater number has the say."""


class CurveBuilder:
    """Takes in the lines of one attempt and keeps one value an epoch for each name.

    The check that was judged tells the value of its epoch; else another check; else an epoch's line; of equals the
    one that arrived last. Only numbers make a curve: booleans, texts, nulls and lists are left out.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, dict[int, tuple[int, Value]]] = {}
        self._criteria: dict[str, dict[int, Value]] = {}

    def add(self, epoch: int, at: float, metrics: Mapping[str, object], told_by: int = EPOCH_LINE) -> None:
        """The metrics of an epoch's or a check's line."""
        for name, value in metrics.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            curve = self._metrics.setdefault(name, {})
            if epoch not in curve or told_by >= curve[epoch][0]:
                curve[epoch] = told_by, Value(epoch, at, float(value))

    def judge(self, epoch: int, at: float, results: Sequence[CriterionStanding]) -> None:
        """What the referee said of a judged check."""
        for result in results:
            point = Value(epoch, at, result.value, result.met, result.reason)
            self._criteria.setdefault(result.name, {})[epoch] = point

    def attempt(
        self, number: int, started: float | None, ended: float | None, exit_: ExitStanding | None
    ) -> Attempt:
        """The attempt with its curves."""
        metrics = {
            name: [curve[epoch][1] for epoch in sorted(curve)] for name, curve in self._metrics.items()
        }
        criteria = {name: [curve[epoch] for epoch in sorted(curve)] for name, curve in self._criteria.items()}
        return Attempt(number, started, ended, exit_, metrics, criteria)
