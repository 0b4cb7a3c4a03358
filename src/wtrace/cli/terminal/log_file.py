"""A log that grows, read by lines: its last ones, and those that are added. Long lines are cut, never buffered whole."""

from __future__ import annotations

import os
import select
from collections import deque
from typing import TYPE_CHECKING, Self

from wtrace.metrics.watcher import make_watcher
from wtrace.text import plain, unstyled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

LONGEST_LINE = 64 * 1024
BLOCK = 64 * 1024
LOOK_EVERY_S = 1.0


def shown_line(line: bytes) -> str:
    """A line of a log, made safe for the terminal."""
    text = line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r\n")
    # A progress bar rewrites its line: only what it showed last is of interest.
    return plain(unstyled(text.rsplit("\r", 1)[-1].expandtabs()))


class LogFile:
    """The log that `path` names; where the path is a link, the one that it names at the moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._real: str | None = None
        self._held = b""  # the beginning of a line that is not finished
        self._watcher = make_watcher()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self._watcher.close()

    def reopen(self) -> bool:
        """Open the log if there is one that is not open yet; True when another one was opened."""
        real = os.path.realpath(self._path)
        if real == self._real or not os.path.isfile(real):  # noqa: PTH113 (beside realpath)
            return False
        if self._file is not None:
            self._file.close()
        self._file = open(real, "rb")  # noqa: PTH123, SIM115 (closed by __exit__)
        self._real = real
        self._watcher.watch_file(self._path.parent / os.path.relpath(real, self._path.parent))
        return True

    def last_lines(self, count: int) -> list[bytes]:
        """The last `count` lines, found from the end; the file is then read up to where it ends now."""
        if self._file is None:
            return []
        self._file.seek(self._start_of_last(count, self._file.seek(0, os.SEEK_END)))
        kept: deque[bytes] = deque(self.new_lines(unfinished=True), maxlen=count)
        return list(kept)

    def new_lines(self, *, unfinished: bool = False) -> Iterator[bytes]:
        """What was added since the last call, at most `LONGEST_LINE` bytes of each line.

        A last line that is not finished yet is kept for the next call, unless it is asked for.
        """
        if self._file is None:
            return
        while piece := self._file.readline(LONGEST_LINE):
            room = LONGEST_LINE - len(self._held)
            self._held += piece[:room]
            if piece.endswith(b"\n"):
                yield self._held
                self._held = b""
        if unfinished and self._held:
            yield self._held
            self._held = b""

    def wait(self) -> None:
        """Until the log grows, for a second at most."""
        descriptor, poll_s = self._watcher.fileno(), self._watcher.poll_every_s
        select.select([] if descriptor is None else [descriptor], [], [], poll_s or LOOK_EVERY_S)
        self._watcher.changed()

    def _start_of_last(self, count: int, end: int) -> int:
        assert self._file is not None
        start, newlines = end, 0
        while start > 0 and newlines <= count:
            size = min(BLOCK, start)
            start -= size
            self._file.seek(start)
            newlines += self._file.read(size).count(b"\n")
        return start
