"""A training's log, or another file of lines: epochs found by a regular expression, or as objects of JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from wtrace.core import readings
from wtrace.core.text import unstyled
from wtrace.metrics.follower import MetricsFile
from wtrace.metrics.records import BadLine, Other, decode
from wtrace.metrics.sources.items import OwnLine, Problem
from wtrace.metrics.sources.limit import CpuLimit, TookTooLongError
from wtrace.metrics.sources.textlines import as_text, beginning_at

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.core.readings import Reading

AT_ONCE_BYTES = 256 * 1024
LONGEST_SEARCHED = 2000  # characters of a line
SEARCH_LIMIT_S = 0.05  # of processor time, for one line
MOST_BROKEN_OFF = 20  # lines; then the pattern is not used any more


class LogLines:
    """Follows a file of lines. Lines that say nothing of an epoch are no mistake: a log holds all kinds of them."""

    def __init__(self, path: Path, epoch_key: str, *, pattern: str | None = None, skip: int = 0) -> None:
        """`skip`: bytes at the beginning that are not to be read."""
        self._file = MetricsFile(path, beginning_at(path, skip), read_as=as_text, returns_end_lines=True)
        self._key = epoch_key
        self._pattern = None if pattern is None else readings.compiled(pattern)
        self._epoch: str | None = (
            None  # of the last line that named one: the metrics may stand on lines after it
        )
        self._broken_off = 0
        self._name = path.name

    def read(self) -> tuple[list[Reading | OwnLine | Problem], bool]:
        """See `Reader.read`."""
        batch = self._file.read(AT_ONCE_BYTES)
        found = [item for line in batch.lines if (item := self._item(line.raw)) is not None]
        if batch.problem is not None:
            found.append(Problem(batch.problem, batch.problem))
        return found, batch.more

    def finish(self) -> list[Reading | OwnLine | Problem]:
        """See `Reader.finish`."""
        last = self._file.remainder()
        item = None if last is None else self._item(last.raw)
        return [] if item is None else [item]

    def close(self) -> None:
        """See `Reader.close`."""
        self._file.close()

    def _item(self, raw: bytes) -> Reading | OwnLine | Problem | None:
        return self._object(raw) if self._pattern is None else self._searched(raw, self._pattern)

    def _object(self, raw: bytes) -> Reading | OwnLine | Problem | None:
        if not raw.lstrip().startswith(b"{"):
            return None
        if b'"event"' in raw and not isinstance(decode(raw), BadLine | Other):
            return OwnLine(raw)
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            return None
        return self._told(readings.of_object(value, self._key)) if isinstance(value, dict) else None

    def _searched(self, raw: bytes, pattern: re.Pattern[str]) -> Reading | Problem | None:
        if self._broken_off >= MOST_BROKEN_OFF:
            return None
        text = unstyled(raw[: 4 * LONGEST_SEARCHED].decode("utf-8", "replace"))[:LONGEST_SEARCHED]
        try:
            with CpuLimit(SEARCH_LIMIT_S):
                groups = readings.groups_of(pattern, text)
        except (TookTooLongError, RecursionError):
            return self._gave_up()
        if groups is None:
            return None
        self._epoch = groups[self._key] or self._epoch
        return self._told(readings.of_groups({**groups, self._key: self._epoch}, self._key))

    def _told(self, reading: Reading | str | None) -> Reading | Problem | None:
        if isinstance(reading, str):
            return Problem("epoch", f"{self._name}: {reading}")
        return reading

    def _gave_up(self) -> Problem:
        self._broken_off += 1
        if self._broken_off >= MOST_BROKEN_OFF:
            text = f"its pattern took too long on {MOST_BROKEN_OFF} lines and is not used any more"
            return Problem("too slow, for good", text)
        text = f"its pattern took longer than {1000 * SEARCH_LIMIT_S:.0f} ms on one line, which is left out: simplify it"
        return Problem("too slow", text)
