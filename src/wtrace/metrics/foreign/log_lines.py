"""A training's log, or another file of lines: epochs found by a regular expression, or as objects of JSON."""

from __future__ import annotations

import json
import signal
from functools import cache
from typing import TYPE_CHECKING, Self

from wtrace.config import compound_kinds
from wtrace.metrics.follower import MetricsFile
from wtrace.metrics.foreign import rows as readings
from wtrace.metrics.foreign.base import (
    Anew,
    OwnLine,
    Problem,
    as_text,
    beginning_at,
    decoded,
    encoding_of,
    folded,
)
from wtrace.metrics.foreign.rows import Reading
from wtrace.metrics.foreign.screen import REWRITTEN, Screen
from wtrace.metrics.foreign.witness import Witness
from wtrace.metrics.records import BadLine, Other, decode

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from wtrace.metrics.foreign.base import Item


class TookTooLongError(Exception):
    """The work was broken off."""


class CpuLimit:
    """Raises TookTooLongError inside of its block once this process has computed for so long. In the main thread only.

    Python's `re` looks for signals while it searches, so that it can be broken off (Modules/_sre/sre_lib.h).
    """

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> Self:
        _hear()
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@cache
def _hear() -> None:
    """Once: the signal means nothing else here."""
    signal.signal(signal.SIGVTALRM, _break_off)


def _break_off(_number: int, _frame: FrameType | None) -> None:
    raise TookTooLongError


AT_ONCE_BYTES = 32 * 1024
LONGEST_SEARCHED = 2000  # characters of a line
SEARCH_LIMIT_S = 0.05  # of processor time, for one line
MOST_BROKEN_OFF = 20  # lines; then the pattern is not used any more
MOST_BRACES = 8  # places of a line at which an object may begin
_decode_object = json.JSONDecoder().raw_decode


class LogLines:
    """Follows a file of lines, each being what a terminal shows of it. Lines that say nothing are no mistake."""

    def __init__(
        self,
        path: Path,
        epoch_key: str,
        *,
        pattern: str | None = None,
        skip: int = 0,
        witness: Witness | None = None,
    ) -> None:
        """`skip`: bytes at the beginning that are not to be read. `witness`: who sees each line and what it said."""
        self._witness = witness or Witness()
        self._path = path
        self._file = MetricsFile(path, beginning_at(path, skip), read_as=as_text, fold=self._folded)
        self._key = epoch_key
        self._pattern = None if pattern is None else compound_kinds.compiled(pattern)
        self._screen = Screen()
        self._encoding: str | None = None  # not known before there is something to read
        self._broken_off = 0

    def read(self) -> tuple[list[Item], bool]:
        """See `Reader.read`."""
        batch = self._file.read(AT_ONCE_BYTES)
        found: list[Item] = []
        if batch.restarted is not None:
            self._screen, self._encoding = Screen(), None
            found.append(Anew())
        for line in batch.lines:
            for row in self._rows(line.raw):
                found += self._witnessed(row)
        if batch.problem is not None:
            found.append(Problem(batch.problem, batch.problem))
        return found, batch.more

    def finish(self, *, whole: bool) -> list[Item]:
        """See `Reader.finish`. What has no newline counts where the worker ended well; a record of its own always does."""
        last = self._file.remainder()
        rows = self._screen.rest("" if last is None else self._decoded(last.raw))
        items = [item for row in rows if row for item in self._witnessed(row)]
        return items if whole else [item for item in items if isinstance(item, OwnLine)]

    def close(self) -> None:
        """See `Reader.close`."""
        self._file.close()

    def _rows(self, raw: bytes) -> list[str]:
        """What a line of the file shows."""
        if self._screen.is_plain and REWRITTEN.search(raw, 0, len(raw) - raw.endswith(b"\r")) is None:
            if self._pattern is not None:
                raw = raw[: 4 * LONGEST_SEARCHED]
            return [self._decoded(raw)] if raw else []
        return [row for row in self._screen.line(self._decoded(raw)) if row]

    def _decoded(self, raw: bytes) -> str:
        return decoded(raw, self._known_encoding())

    def _known_encoding(self) -> str:
        if self._encoding is None:
            self._encoding = encoding_of(self._path)
        return self._encoding

    def _folded(self, raw: bytes) -> bytes:
        return folded(raw) if self._known_encoding() == "utf-8" else raw

    def _witnessed(self, row: str) -> list[Item]:
        items = list(self._items(row))
        self._witness.saw(row[:LONGEST_SEARCHED], items)
        return items

    def _items(self, row: str) -> Iterator[Item]:
        if self._pattern is None:
            yield from self._objects(row)
        elif (found := self._searched(row[:LONGEST_SEARCHED].rstrip(), self._pattern)) is not None:
            yield found

    def _objects(self, row: str) -> Iterator[Item]:
        """The objects of JSON in a line, whatever stands before and after them: a logger's prefix, a progress bar."""
        at, tried = row.find("{"), 0
        while at >= 0 and tried < MOST_BRACES:
            try:
                value, end = _decode_object(row, at)
            except (ValueError, RecursionError):
                tried += 1
                end = at + 1
            else:
                found = self._object(row[at:end], value)
                if found is not None:
                    yield found
            at = row.find("{", end)

    def _object(self, text: str, value: dict[str, object]) -> Reading | OwnLine | Problem | None:
        if "event" in value:
            raw = text.encode("utf-8", "replace")
            if not isinstance(decode(raw), BadLine | Other):
                return OwnLine(raw)
        return self._told(readings.of_object(value, self._key))

    def _searched(self, text: str, pattern: re.Pattern[str]) -> Reading | Problem | None:
        if self._broken_off >= MOST_BROKEN_OFF:
            return None
        try:
            with CpuLimit(SEARCH_LIMIT_S):
                groups = readings.groups_of(pattern, text)
                rest = (
                    readings.rest_of(pattern, text, self._key)
                    if groups and readings.may_say_more(text)
                    else ""
                )
        except (TookTooLongError, RecursionError):
            return self._gave_up()
        return None if groups is None else self._told(readings.of_groups(groups, self._key, rest))

    def _told(self, reading: Reading | str | None) -> Reading | Problem | None:
        if isinstance(reading, str):
            return Problem("epoch", f"{self._path.name}: {reading}")
        return reading

    def _gave_up(self) -> Problem:
        self._broken_off += 1
        if self._broken_off >= MOST_BROKEN_OFF:
            text = f"its pattern took too long on {MOST_BROKEN_OFF} lines and is not used any more"
            return Problem("too slow, for good", text)
        text = f"its pattern took longer than {1000 * SEARCH_LIMIT_S:.0f} ms on one line, which is left out: simplify it"
        return Problem("too slow", text)
