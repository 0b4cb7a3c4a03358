"""What a reader of lines saw: how many, how many of them said something, and some of each to show a person."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from wtrace.metrics.foreign.base import OwnLine
from wtrace.metrics.foreign.rows import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence


KEPT = 200  # lines; of these the one is looked for that comes nearest to a pattern


class Match(NamedTuple):
    """A line, as a terminal shows it, and what it said."""

    line: str
    said: Reading | OwnLine


class Witness:
    """Sees each line of a source with what was read in it. Bounded, however much is seen."""

    def __init__(self, *, rows: int = KEPT, matches: int = 0) -> None:
        """So many of the first lines are kept, and so many of the first and of the last that said something."""
        self.lines = 0
        self.matched = 0  # lines that said something, if only the epoch
        self.with_values = 0
        self.rows: list[str] = []
        self.first: list[Match] = []
        self._most_rows = rows
        self._most_matches = matches
        self._last: deque[Match] = deque(maxlen=matches)

    def saw(self, line: str, items: Sequence[object]) -> None:
        """Take note of a line and of what was read in it."""
        self.lines += 1
        if len(self.rows) < self._most_rows:
            self.rows.append(line)
        said = [item for item in items if isinstance(item, Reading | OwnLine)]
        if not said:
            return
        self.matched += 1
        self.with_values += any(isinstance(item, OwnLine) or bool(item.values) for item in said)
        for item in said:
            if len(self.first) < self._most_matches:
                self.first.append(Match(line, item))
            else:
                self._last.append(Match(line, item))

    def forget(self) -> None:
        """Keep no lines any more."""
        self.rows.clear()
        self._most_rows = 0

    @property
    def last(self) -> list[Match]:
        """The last lines that said something, but for those that are among the first."""
        return list(self._last)
