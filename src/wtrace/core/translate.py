"""From readings of foreign sources to records of the worker protocol: which become checks, and when.

An epoch becomes a check once, when it is planned, holds every metric that the criteria use, and nothing more can
change these: the next epoch has begun, the worker has ended, or the source says that they are settled. Whatever else
an epoch has is told by `epoch` records. A new translator that is told what was translated already goes on from there,
whatever it reads again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wtrace.core.data import data
from wtrace.core.plan import is_planned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wtrace.core.readings import Reading
    from wtrace.core.spec import MetricsSpec, RaceSpec, WorkerSpec

Made = dict[str, object]


@data
class Plan:
    """What decides about checks. `wanted` are the metrics that the criteria use."""

    check_every: int
    max_epochs: int
    wanted: frozenset[str]
    first_epoch: int = 1  # how the source numbers its first epoch
    checkpoint: str | None = None


def plan_of(spec: RaceSpec, worker: WorkerSpec, metrics: MetricsSpec) -> Plan:
    """The plan for one worker of a race."""
    wanted = frozenset(name for criterion in spec.success for name in criterion.metrics)
    return Plan(spec.check_every, spec.epochs_of(worker), wanted, metrics.first_epoch, metrics.checkpoint)


@dataclass(slots=True)
class _Epoch:
    values: dict[str, float] = field(default_factory=dict)  # all that is known of it, until it is checked
    untold: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    checked: bool = False


class Translator:
    """Takes readings in the order of their source and gives records as they become ripe."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._epochs: dict[int, _Epoch] = {}
        self._open: set[int] = set()  # epochs with something untold
        self._newest = -1
        self._has_checked = False
        self.hints: list[str] = []  # what a person should know; whoever tells it empties the list
        self._hinted: set[str] = set()

    def recall(self, epoch: int, values: Mapping[str, object], *, is_check: bool) -> None:
        """Something that was translated already, by an earlier translator."""
        known = self._epochs.setdefault(epoch, _Epoch())
        known.told |= values.keys()
        known.checked = known.checked or is_check
        self._has_checked = self._has_checked or is_check
        if not known.checked:
            known.values |= {name: value for name, value in values.items() if isinstance(value, int | float)}
        self._newest = max(self._newest, epoch)

    def take(self, reading: Reading) -> list[Made]:
        """The records that are ripe at once because of this reading."""
        epoch = math.ceil(reading.epoch) + 1 - self._plan.first_epoch
        self._hint_at_zero(epoch)
        known = self._epochs.setdefault(epoch, _Epoch())
        self._newest = max(self._newest, epoch)
        for name, value in reading.values.items():
            if name not in known.told:
                known.values[name] = value
                known.untold.add(name)
                self._open.add(epoch)
        wanted = self._plan.wanted
        ripe = reading.settled and wanted and wanted <= known.told | known.untold
        return self._tell(epoch) if ripe else []

    def flush(self) -> list[Made]:
        """The records of epochs that are over. To be called when no more can be read for now."""
        over = sorted(epoch for epoch in self._open if epoch < self._newest)
        return [record for epoch in over for record in self._tell(epoch)]

    def finish(self) -> list[Made]:
        """All that is left: the worker has ended."""
        return [record for epoch in sorted(self._open) for record in self._tell(epoch)]

    def _tell(self, epoch: int) -> list[Made]:
        known = self._epochs[epoch]
        self._open.discard(epoch)
        if not known.untold:
            return []
        plan = self._plan
        planned = is_planned(epoch, plan.check_every, plan.max_epochs) and not known.checked
        complete = plan.wanted <= known.values.keys()
        if (
            planned and not complete and not self._has_checked
        ):  # else the names are right: it was ended amid an epoch
            self._hint_at_what_is_missing(epoch, known.values)
        check = planned and complete
        names = known.values if check else sorted(known.untold)
        record: Made = {
            "event": "check" if check else "epoch",
            "epoch": epoch,
            "metrics": {name: known.values[name] for name in names},
        }
        if check and plan.checkpoint is not None:
            record["checkpoint"] = plan.checkpoint.replace("{epoch}", str(epoch - 1 + plan.first_epoch))
        self._has_checked = self._has_checked or check
        known.told |= known.untold
        known.untold.clear()
        known.checked = known.checked or check
        if known.checked or not planned:
            known.values.clear()
        return [record]

    def _hint_at_zero(self, epoch: int) -> None:
        if epoch == 0:
            self._hint("zero", "its metrics have an epoch 0: if it counts from 0, set first_epoch = 0")

    def _hint_at_what_is_missing(self, epoch: int, there: Iterable[str]) -> None:
        lacking = ", ".join(sorted(self._plan.wanted - set(there)))
        has = ", ".join(sorted(there)[:10])
        self._hint(
            "missing", f"epoch {epoch} is no check: it lacks {lacking}, which the criteria use; it has {has}"
        )

    def _hint(self, kind: str, text: str) -> None:
        if kind not in self._hinted:
            self._hinted.add(kind)
            self.hints.append(text)
