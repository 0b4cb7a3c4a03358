"""What a person should know of a source of metrics: numbers that do not fit the plan, values that contradict each other."""

from __future__ import annotations

import math
import re
from collections import deque
from typing import TYPE_CHECKING

from wtrace.config.names import is_step
from wtrace.config.schedule import is_planned, planned_epochs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtrace.metrics.foreign.check_builder import Plan
    from wtrace.metrics.foreign.rows import Reading

FEW = 3  # epochs of which none was planned
MOST_TEXTS = 5  # metrics that no criterion uses, of which it is told that they are no numbers
MOST_SEEN = 10_000  # epochs whose values are compared with what is said of them later
_LIKE_A_NUMBER = re.compile(r"[-+]?\.?\d[\d.,]*\D{0,12}|\d[\d.,]*\s*[/±]\s*\d[\d.,]*")

Told = tuple[float, int]  # a value, and which file said it


class Doubts:
    """Hears all readings of a worker; each kind of doubt is put into words once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._hinted: set[str] = set()
        self._has_checked = False
        self._first: dict[int, dict[str, Told]] = {}  # what was said first of an epoch
        self._newest: dict[int, int] = {}  # of each file
        self._several: set[int] = set()  # files that say several things of one epoch, without steps
        self._numbers: deque[float] = deque(maxlen=FEW)  # the last distinct ones, while none is planned
        self._texts = 0  # hints of metrics that no criterion uses
        self._has_planned = False
        self._began_at_zero = False
        self.hints: list[str] = []

    def recall(self, *, is_check: bool) -> None:
        """A check was made: the names are right, and so are the numbers."""
        self._has_checked = self._has_checked or is_check
        self._has_planned = self._has_planned or is_check

    def anew(self, origin: int) -> None:
        """This file is read from its beginning again."""
        self._newest.pop(origin, None)

    def hear(self, reading: Reading, epoch: int, origin: int, *, at_end: bool) -> bool:
        """Whether its file has been found to say several things of one epoch, so that nothing of it is settled."""
        self._read_texts(reading)
        if self._plan.epoch_key is None:
            self._find_the_epoch(reading)
        if at_end:
            self._compare(reading, epoch, origin)
            if reading.values:
                self._ask_about_zero(reading.epoch)
                self._hold_against_the_plan(reading, epoch)
        self._newest[origin] = max(self._newest.get(origin, -1), epoch)
        return origin in self._several

    def miss(self, epoch: int, final: Iterable[str], there: Iterable[str]) -> None:
        """A planned epoch is no check. If there were checks before, the names are right: it was ended amid an epoch."""
        if self._has_checked:
            return
        lacking = self._plan.wanted - set(final)
        amid = lacking & set(there)
        if amid:
            self._hint(
                "amid",
                f"epoch {epoch} is no check: {', '.join(sorted(amid))} was read amid it and not at its end; evaluate and "
                'log at the ends of epochs, or race in steps: epoch_key = "step"',
            )
            return
        has = ", ".join(sorted(there)[:10])
        self._hint(
            "missing",
            f"epoch {epoch} is no check: it lacks {', '.join(sorted(lacking))}, which the criteria use; it has {has}",
        )

    def stand_in(self, number: float) -> None:
        """The last whole reading counts as the last planned check."""
        self._hint(
            "last",
            f"its last reading has the {self._key} {number:.0f} and counts as its last planned check, {self._plan.max_epochs}",
        )

    def _hint(self, kind: str, text: str) -> None:
        if kind not in self._hinted:
            self._hinted.add(kind)
            self.hints.append(text)

    @property
    def _key(self) -> str:
        return self._plan.epoch_key or "step"

    def _wanted(self, reading: Reading) -> set[str]:
        return {name for name in reading.values if not self._plan.wanted or name in self._plan.wanted}

    def _read_texts(self, reading: Reading) -> None:
        for name, text in reading.unread.items():
            is_wanted = name in self._plan.wanted
            if is_wanted or (self._texts < MOST_TEXTS and _LIKE_A_NUMBER.fullmatch(text.strip())):
                known = len(self._hinted)
                self._hint(f"text {name}", f"its {name} is no number: {text.strip()!r:.60}")
                self._texts += not is_wanted and len(self._hinted) > known

    def _find_the_epoch(self, reading: Reading) -> None:
        """Where steps are taken for epochs, and a scalar says what the epoch is."""
        for name, value in reading.values.items():
            if (
                name.rpartition("/")[2].lower() == "epoch"
                and value <= self._plan.max_epochs
                and (reading.epoch or 0) > value + 1
            ):
                self._hint(
                    "epoch",
                    f'its steps are no epochs, and its scalar `{name}` tells them: set epoch_key = "{name}"',
                )

    def _compare(self, reading: Reading, epoch: int, origin: int) -> None:
        """What is said of an epoch a second time."""
        if epoch not in self._first and len(self._first) >= MOST_SEEN:
            return
        first = self._first.setdefault(epoch, {})
        for name in self._wanted(reading):
            value = reading.values[name]
            before, said_by = first.setdefault(name, (value, origin))
            if said_by != origin:
                if not _same(value, before):
                    self._hint(
                        "files",
                        f"two of its files say different things of {name} at {self._key} {reading.epoch:g} ({before:g} and "
                        f"{value:g}), and the first one counts: name one file in its `path`",
                    )
            elif epoch < self._newest.get(origin, -1):
                self._hint(
                    "twice",
                    f"{self._key} {reading.epoch:g} is reported again after {self._newest[origin]}: it trains more than once "
                    "in one attempt, or several processes print, and only the first counts",
                )
            elif not reading.steps and not _same(value, before):
                self._several.add(origin)
                self._hint(
                    "several",
                    f"{self._key} {reading.epoch:g} is reported again with another {name} ({before:g}, then {value:g}): the last "
                    "one before the next epoch counts from now on; if these are steps, name a group or a key `step`; if several "
                    "processes print, let one of them print",
                )

    def _ask_about_zero(self, number: float | None) -> None:
        """Whether the source counts 0, 1, 2, …: steps do not, nor do numbers with gaps."""
        if number == 1 and self._began_at_zero and self._plan.first_epoch and not is_step(self._key):
            self._hint("zero", "its metrics have an epoch 0: if it counts from 0, set first_epoch = 0")
        self._began_at_zero = number == 0

    def _hold_against_the_plan(self, reading: Reading, epoch: int) -> None:
        plan, number = self._plan, reading.epoch
        assert number is not None
        if self._has_planned or not self._wanted(reading) or number in self._numbers:
            return
        if is_planned(epoch, plan.check_every, plan.max_epochs):
            self._has_planned = True
            return
        is_first = not any(self._numbers)
        self._numbers.append(number)
        if number > plan.max_epochs and is_first:
            self._hint(
                "plan",
                f"its first {self._key} is {number:g}, beyond max_epochs = {plan.max_epochs}, so that nothing of it is judged: "
                "set epoch_key to what tells the epoch, or max_epochs and check_every in what it counts",
            )
        passed = epoch > min(plan.check_every, plan.max_epochs)
        if passed and len(self._numbers) >= FEW:
            self._hint("plan", self._unplanned())
            self._has_planned = True  # enough was said

    def _unplanned(self) -> str:
        plan = self._plan
        shown = ", ".join(f"{number:g}" for number in self._numbers)
        offset = 1 - plan.first_epoch
        planned = [
            str(epoch - offset if offset else epoch)
            for epoch in planned_epochs(plan.check_every, plan.max_epochs)[:FEW]
        ]
        return f"none of its {self._key}s {shown} is a planned check; {', '.join(planned)} would have been: {self._mend()}"

    def _mend(self) -> str:
        plan = self._plan
        numbers = [int(number) for number in self._numbers if number]
        gap = f"set check_every = {max(1, math.gcd(*numbers))}"

        def fit(shift: int) -> bool:
            return all(is_planned(number + shift, plan.check_every, plan.max_epochs) for number in numbers)

        if plan.first_epoch == 0:
            return "leave out first_epoch = 0" if fit(0) else f"leave out first_epoch = 0 and {gap}"
        return "set first_epoch = 0" if fit(1) and not is_step(self._key) else gap


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
