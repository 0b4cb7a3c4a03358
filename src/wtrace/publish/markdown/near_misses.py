"""Who came how close: per criterion, at one check, and together."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.judging.checks import closeness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.judging.checks import CriterionStanding
    from wtrace.publish.record import CheckRow, Evidence
    from wtrace.race.status import Standing


@data
class Approach:
    """The check that came closest to one criterion."""

    worker: str
    epoch: int
    criterion: CriterionStanding


@data
class Pair:
    """Two workers that complement one another: what each met, at whatever check, that the other never did."""

    first: str
    second: str
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    both: tuple[str, ...]

    @property
    def met(self) -> int:
        """How many criteria the two met between them."""
        return len(self.only_first) + len(self.only_second) + len(self.both)


def contested(standing: Standing, evidence: Evidence) -> list[CheckRow]:
    """The judged checks of workers that could have won."""
    controls = {worker.name for worker in standing.workers if worker.control}
    return [row for row in evidence.checks if row.judged and row.criteria and row.worker not in controls]


def met_everything(checks: Sequence[CheckRow]) -> dict[str, list[int]]:
    """For each worker that met every criterion at one check the epochs at which it did, in the order of arrival."""
    found: dict[str, list[int]] = {}
    for row in checks:
        if row.met == len(row.criteria):
            found.setdefault(row.worker, []).append(row.epoch)
    return found


def standing_checks(checks: Sequence[CheckRow]) -> list[CheckRow]:
    """Without those that met every criterion and did not win: held-out data, or a rule, have spoken against them."""
    return [row for row in checks if row.met < len(row.criteria)]


def closest_to(name: str, checks: Sequence[CheckRow]) -> Approach | None:
    """The earliest check whose value for that criterion is the best of all; None where none has a number."""
    best: Approach | None = None
    for row in checks:
        for criterion in row.criteria:
            if criterion.name == name and (best is None or _key(criterion) > _key(best.criterion)):
                best = Approach(row.worker, row.epoch, criterion)
    return best


def _key(criterion: CriterionStanding) -> tuple[bool, float]:
    return criterion.met, closeness(criterion.op, criterion.value)


def most_at_once(checks: Sequence[CheckRow]) -> CheckRow | None:
    """The check that met the most criteria; ties: the first criterion's best value, then the earlier one."""
    return max(checks, key=_rank, default=None)


def _rank(row: CheckRow) -> tuple[int, float, float]:
    first = row.criteria[0]
    return row.met, closeness(first.op, first.value), -row.at


def ever_met(checks: Sequence[CheckRow]) -> dict[str, set[str]]:
    """For each worker the criteria that it met at some check, not always the same one."""
    met: dict[str, set[str]] = {}
    for row in checks:
        met.setdefault(row.worker, set()).update(c.name for c in row.criteria if c.met)
    return met


def complements(names: Sequence[str], checks: Sequence[CheckRow]) -> Pair | None:
    """The two workers that met the most criteria between them, each something that the other never met.

    `names` are the criteria in their order. Ties go to the pair that comes first by arrival; None where nobody
    adds anything to anybody.
    """
    met = ever_met(checks)
    pairs = [_pair(first, second, met, names) for first, second in combinations(met, 2)]
    return max(
        (pair for pair in pairs if pair.only_first and pair.only_second), key=lambda p: p.met, default=None
    )


def _pair(first: str, second: str, met: dict[str, set[str]], names: Sequence[str]) -> Pair:
    one, other = met[first], met[second]
    return Pair(
        first,
        second,
        tuple(name for name in names if name in one - other),
        tuple(name for name in names if name in other - one),
        tuple(name for name in names if name in one & other),
    )
