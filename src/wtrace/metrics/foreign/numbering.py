"""Which epoch a reading is of where its number stands on another line, or nowhere: pure, one for each file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.metrics.foreign.rows import MOST_NAMES, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtrace.config.spec import EpochComes

MANY = 3  # lines with steps but without an epoch: there will be none
MOST_HELD = 100  # lines of which none says again what another one said
UNNUMBERED = 'their epoch is not named before them: if it stands after its metrics, set epoch_comes = "last"'


class Numbering:
    """Gives readings their numbers, in the order of their file.

    A number holds for what follows it, or with `comes == "last"` for what came before it. Where none is ever named,
    readings are counted: the first is epoch 1, and the next one begins when a metric comes again.
    """

    def __init__(
        self,
        wanted: frozenset[str],
        *,
        comes: EpochComes = "first",
        counts: bool | None = False,
        repeats: bool = True,
    ) -> None:
        """`wanted` are the metrics that matter (none: all do). `counts`: no number is ever named; None: not known yet.

        `repeats`: what has no number may say again what was said of the last one that was named.
        """
        self._repeats = repeats
        self._said: set[str] = set()  # of the number that was named last
        self._wanted = wanted
        self._comes = comes
        self._counts = counts
        self._number: float | None = None  # the last one that was named
        self._count = 0
        self._counted: set[str] = set()  # metrics of the reading that is counted now
        self._stepped = 0
        self._held: list[Reading] = []  # they wait for knowing whether there is a number
        self._gathered = _Gathered()  # what waits for the number that comes last
        # What a person should know, with its kind; whoever tells it empties the list.
        self.hints: list[tuple[str, str]] = []

    def take(self, reading: Reading) -> list[Reading]:
        """The readings that have their number now."""
        if reading.epoch is not None:
            return self._named(reading, reading.epoch)
        if self._counts:
            return [self._next(reading)]
        if self._counts is None:
            return self._unknown(reading)
        if self._comes == "last":
            self._gathered.add(reading)
            return []
        if self._number is None:
            self._hint_unnumbered([reading])
            return []
        return self._added(reading, self._number)

    def finish(self, *, whole: bool) -> list[Reading]:
        """What is left at the file's end. `whole`: the worker ended by itself and well."""
        held, self._held = self._held, []
        if self._counts is None and whole:
            return [self._next(reading) for reading in held]
        if self._comes == "last" and whole:
            self._hint_unnumbered([self._gathered.reading(None)])
        return []

    def _named(self, reading: Reading, number: float) -> list[Reading]:
        held, self._held = self._held, []
        self._number, self._counts = number, False
        if self._comes == "last":
            gathered, self._gathered = self._gathered, _Gathered()
            gathered.add(reading)
            return [gathered.reading(number)]
        self._hint_unnumbered(held)
        self._said = set(reading.values)
        return [reading]

    def _added(self, reading: Reading, number: float) -> list[Reading]:
        """To the number that was named last. A summary at the end of all says nothing new of the last epoch."""
        values = {
            name: value for name, value in reading.values.items() if self._repeats or name not in self._said
        }
        if len(self._said) < MOST_NAMES:
            self._said |= values.keys()
        found = _numbered(reading, number)
        return [replace(found, values=values)] if values or reading.unread else []

    def _unknown(self, reading: Reading) -> list[Reading]:
        """A line without a number in a source that may still name one: decided when its metrics come again."""
        if not self._names(reading):
            return []
        if reading.steps:
            self._stepped += 1
            if self._stepped == MANY:
                self.hints.append(
                    ("steps", "its lines have steps and no epoch: set epoch_key to what a step is called")
                )
            return []
        again = any(self._names(reading) & self._names(each) for each in self._held)
        if not again and len(self._held) < MOST_HELD:
            self._held.append(reading)
            return []
        held, self._held, self._counts = self._held, [], True
        return [self._next(each) for each in (*held, reading)]

    def _next(self, reading: Reading) -> Reading:
        names = self._names(reading)
        if not self._count or names & self._counted:
            self._count += 1
            self._counted = set()
        if len(self._counted) < MOST_NAMES:
            self._counted |= names
        return _numbered(reading, self._count)

    def _names(self, reading: Reading) -> set[str]:
        return {name for name in reading.values if not self._wanted or name in self._wanted}

    def _hint_unnumbered(self, readings: Iterable[Reading]) -> None:
        names = sorted({name for reading in readings for name in self._names(reading)})
        if names:
            self.hints.append(("unnumbered", f"{', '.join(names)}: {UNNUMBERED}"))


def _numbered(reading: Reading, number: float) -> Reading:
    return replace(reading, epoch=number)


class _Gathered:
    """Readings that have one number together. Of a metric the last value counts."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        self._unread: dict[str, str] = {}
        self._settled = True
        self._steps = False

    def add(self, reading: Reading) -> None:
        """This one too, as far as there is room for its names."""
        for name, value in reading.values.items():
            if name in self._values or len(self._values) < MOST_NAMES:
                self._values[name] = value
        for name, text in reading.unread.items():
            if name in self._unread or len(self._unread) < MOST_NAMES:
                self._unread[name] = text
        self._settled = self._settled and reading.settled
        self._steps = self._steps or reading.steps

    def reading(self, number: float | None) -> Reading:
        """All of them as one."""
        unread = {name: text for name, text in self._unread.items() if name not in self._values}
        return Reading(number, self._values, settled=self._settled, steps=self._steps, unread=unread)
