"""From readings of foreign sources to records of the worker protocol: which become checks, and when.

An epoch becomes a check once, when it is planned, holds every metric that the criteria use as it was at its end, and
nothing more can change these: the next epoch has begun, the worker has ended by itself and well, or the source says
that they are settled. Whatever else an epoch has is told by `epoch` records. A new translator that is told what was
translated already goes on from there, whatever it reads again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wtrace.config.schedule import is_planned
from wtrace.config.sources import epoch_key
from wtrace.data import data
from wtrace.metrics.foreign.doubts import Doubts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.config.spec import MetricsSpec, RaceSpec, WorkerSpec
    from wtrace.metrics.foreign.rows import Reading

Made = dict[str, object]
MOST_EPOCHS = 100_000  # that are told apart
MOST_METRICS = 1000  # beside those that the criteria use


@data
class Plan:
    """What decides about checks. `wanted` are the metrics that the criteria use."""

    check_every: int
    max_epochs: int
    wanted: frozenset[str]
    first_epoch: int = 1  # how the source numbers its first epoch
    checkpoint: str | None = None
    epoch_key: str | None = "epoch"  # None: an event file's steps are the epochs

    def numbered(self, number: float) -> int:
        """The epoch, counted from 1, in which a number of the source lies."""
        return math.ceil(number) if self.first_epoch else math.floor(number) + 1


def plan_of(spec: RaceSpec, worker: WorkerSpec, metrics: MetricsSpec) -> Plan:
    """The plan for one worker of a race."""
    wanted = frozenset(name for criterion in spec.success for name in criterion.metrics)
    return Plan(
        spec.check_every,
        spec.epochs_of(worker),
        wanted,
        metrics.first_epoch,
        metrics.checkpoint,
        epoch_key(metrics),
    )


NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Epoch:
    values: dict[str, float] = field(default_factory=dict)  # all that is known of it, until it is checked
    final: dict[str, float] = field(
        default_factory=dict
    )  # of the wanted ones those that were read at its end
    loose: frozenset[str] = NOTHING  # of these those that a later reading may say otherwise
    untold: frozenset[str] = NOTHING
    told: frozenset[str] = NOTHING  # the same object for all epochs of which the same was told
    number: float = 0  # what the source calls it
    has_ended: bool = False  # something was read at its end, and not only amid it
    checked: bool = False


class Translator:
    """Takes readings in the order of their source and gives records as they become ripe."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._epochs: dict[int, _Epoch] = {}
        self._open: set[int] = set()  # epochs with something untold
        self._due: dict[
            int, int
        ] = {}  # epochs that will be checks once they are over, and which file completed them
        self._newest = -1
        self._doubts = Doubts(plan)
        self._names: set[str] = set()
        self._shared_names: dict[frozenset[str], frozenset[str]] = {}
        self._told: set[str] = set()  # of what is left out

    @property
    def hints(self) -> list[str]:
        """What a person should know; whoever tells it empties the list."""
        return self._doubts.hints

    def recall(self, epoch: int, values: Mapping[str, object], *, is_check: bool) -> None:
        """Something that was translated already, by an earlier translator."""
        known = self._epochs.setdefault(epoch, _Epoch())
        known.told = self._shared(known.told.union(values))
        known.checked = known.checked or is_check
        self._doubts.recall(is_check=is_check)
        if not known.checked:
            known.values |= {name: value for name, value in values.items() if isinstance(value, int | float)}
        self._newest = max(self._newest, epoch)

    def anew(self, origin: int) -> None:
        """The source of this number is read from its beginning again."""
        self._doubts.anew(origin)

    def take(self, reading: Reading, origin: int = 0) -> list[Made]:
        """The records that are ripe at once because of this reading, which has a number; `origin` tells files apart."""
        assert reading.epoch is not None
        plan = self._plan
        epoch = plan.numbered(reading.epoch)
        if epoch not in self._epochs and len(self._epochs) >= MOST_EPOCHS:
            self._tell_once(f"its metrics have more than {MOST_EPOCHS} epochs: the others are left out")
            return []
        at_end = float(reading.epoch).is_integer()
        known = self._epochs.setdefault(epoch, _Epoch())
        several = self._doubts.hear(reading, epoch, origin, at_end=at_end)
        settled = reading.settled and at_end and not several
        self._newest = max(self._newest, epoch)
        if at_end:
            known.has_ended, known.number = True, reading.epoch
            self._note_final(known, reading, settled=settled)
        for name, value in reading.values.items():
            if name not in known.told and self._takes(name):
                known.values[name] = value
                known.untold |= {name}
        if known.untold or known.final:
            self._open.add(epoch)
        complete = known.checked or plan.wanted <= known.final.keys()
        if not (plan.wanted and complete):
            return []
        if settled and not known.loose:
            return [*self._tell_before(epoch, origin), *self._tell(epoch)]
        self._due[epoch] = origin
        return []

    def _note_final(self, known: _Epoch, reading: Reading, *, settled: bool) -> None:
        """What the criteria use, as it is at the epoch's end."""
        for name in self._plan.wanted & reading.values.keys():
            if not known.checked:
                known.final[name] = reading.values[name]
                known.loose = known.loose - {name} if settled else known.loose | {name}

    def _takes(self, name: str) -> bool:
        """Whether this metric is one of those that are kept."""
        if name not in self._names:
            if len(self._names) >= MOST_METRICS and name not in self._plan.wanted:
                self._tell_once(f"it has more than {MOST_METRICS} metrics: the others are left out")
                return False
            self._names.add(name)
        return True

    def _shared(self, names: frozenset[str]) -> frozenset[str]:
        return self._shared_names.setdefault(names, names)

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.hints.append(text)

    def flush(self) -> list[Made]:
        """The records of epochs that are over. To be called when no more can be read for now."""
        over = sorted(epoch for epoch in self._open if epoch < self._newest)
        return [record for epoch in over for record in self._tell(epoch)]

    def finish(self, *, whole: bool) -> list[Made]:
        """All that is left: the worker has ended. `whole`: by itself and well, else its last epoch may be a part of one."""
        left = self.flush()
        for epoch in sorted(self._open):
            left += self._tell(epoch, is_over=whole)
        return left + self._last_check() if whole else left

    def _tell_before(self, epoch: int, origin: int) -> list[Made]:
        """Checks come in the order of their file: those that are over because this epoch has begun."""
        over = sorted(due for due, by in self._due.items() if due < epoch and by == origin)
        return [record for each in over for record in self._tell(each)]

    def _tell(self, epoch: int, *, is_over: bool = True) -> list[Made]:
        known, plan = self._epochs[epoch], self._plan
        self._open.discard(epoch)
        self._due.pop(epoch, None)
        planned = is_planned(epoch, plan.check_every, plan.max_epochs) and not known.checked
        complete = known.has_ended and plan.wanted <= known.final.keys()
        if planned and is_over and not complete and known.untold:
            self._doubts.miss(epoch, known.final, known.values)
        check = planned and complete and is_over
        if not known.untold and not check:
            return []
        values = known.values | known.final
        names = values if check else sorted(known.untold)
        record: Made = {
            "event": "check" if check else "epoch",
            "epoch": epoch,
            "metrics": {name: values[name] for name in names},
        }
        known.told, known.untold = self._shared(known.told | known.untold), NOTHING
        if check:
            self._checked(known, record)
        if known.checked or not planned:
            known.values.clear()
        return [record]

    def _checked(self, known: _Epoch, record: Made) -> None:
        if self._plan.checkpoint is not None:
            record["checkpoint"] = self._plan.checkpoint.replace("{epoch}", f"{known.number:.0f}")
        self._doubts.recall(is_check=True)
        known.checked = True
        known.final.clear()
        known.loose = NOTHING

    def _last_check(self) -> list[Made]:
        """Where the last planned check is missing: the last whole reading, whatever its number, if it came after the others."""
        plan = self._plan
        last = self._epochs.get(plan.max_epochs)
        after = max((epoch for epoch, known in self._epochs.items() if known.checked), default=-1)
        whole = [
            epoch
            for epoch, known in self._epochs.items()
            if plan.wanted and plan.wanted <= known.final.keys()
        ]
        newest = max(whole, default=-1)
        if (last is not None and last.checked) or newest <= after:
            return []
        known = self._epochs[newest]
        record: Made = {
            "event": "check",
            "epoch": plan.max_epochs,
            "metrics": dict(known.final),
            "reported_as": known.number,
        }
        self._doubts.stand_in(known.number)
        self._checked(known, record)
        self._epochs.setdefault(plan.max_epochs, _Epoch()).checked = True
        return [record]
