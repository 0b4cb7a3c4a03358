"""`trainer_state.json`, which the Trainer of Hugging Face writes into each checkpoint."""

from __future__ import annotations

import codecs
import json
import os
import re
from typing import TYPE_CHECKING

from wtrace.metrics.foreign import rows
from wtrace.metrics.foreign.base import Anew, Problem
from wtrace.metrics.foreign.source_files import open_if_regular

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from wtrace.metrics.foreign.base import Item

PIECE_BYTES = 64 * 1024  # read at once
LARGEST_VALUE = 1024 * 1024  # characters: of one entry of the history, or of what stands before it
Sign = tuple[int, int, int]


class TrainerState:
    """Reads the whole file, piece by piece, whenever it has changed: it holds all that was logged before.

    A file that is replaced while it is read is read to its end first; one that is written over is begun again.
    """

    def __init__(self, path: Path, epoch_key: str, *, skip: int = 0) -> None:
        """`skip`: the size of a file that lay there before; it is not read until it changes."""
        self._path = path
        self._key = epoch_key
        self._seen = self._sign() if skip else None
        self._fd: int | None = None
        self._entries: Generator[object | None] | None = None
        self._is_new = False
        self._torn = False

    def read(self) -> tuple[list[Item], bool]:
        """See `Reader.read`."""
        if self._entries is None and not self._begin():
            return [], False
        assert self._entries is not None
        found: list[Item] = []
        if self._is_new:
            self._is_new = False
            found.append(Anew())
        try:
            while (entry := next(self._entries)) is not None:
                found += self._said(entry)
        except StopIteration:
            self._end(torn=False)
        except (ValueError, RecursionError, OSError):
            self._end(torn=True)
        return found, self._has_more()

    def _has_more(self) -> bool:
        """Whether this file is not at its end, or another one has taken its place."""
        return self._entries is not None or self._sign() not in (None, self._seen)

    def finish(self, *, whole: bool) -> list[Problem]:  # noqa: ARG002 (a state is whole or none)
        """See `Reader.finish`."""
        text = f"{self._path.parent.name}/{self._path.name} holds no log_history that can be read"
        return [Problem("hf file", text)] if self._torn else []

    def close(self) -> None:
        """See `Reader.close`."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._entries = None

    def _begin(self) -> bool:
        """Begin to read the file as it is now; False where it is not there, or was read already."""
        sign = self._sign()
        if sign is None or sign == self._seen:
            return False
        self._seen = sign
        self._fd = open_if_regular(self._path)
        self._torn = self._fd is None
        if self._fd is not None:
            self._seen = _sign(os.fstat(self._fd))
            self._entries = log_history(self._fd)
            self._is_new = True
        return self._fd is not None

    def _end(self, *, torn: bool) -> None:
        self._torn = torn
        self.close()

    def _said(self, entry: object) -> list[Item]:
        reading = rows.of_entry(entry, self._key) if isinstance(entry, dict) else None
        if isinstance(reading, str):
            return [Problem("hf entry", f"{self._path.name}: {reading}")]
        return [] if reading is None else [reading]

    def _sign(self) -> Sign | None:
        try:
            return _sign(self._path.lstat())
        except OSError:
            return None


def _sign(info: os.stat_result) -> Sign:
    return info.st_ino, info.st_size, info.st_mtime_ns


def log_history(fd: int) -> Generator[object | None]:
    """The entries of a state's `log_history`, and None after each piece of the file.

    ValueError or RecursionError: the file is still being written, or it is something else.
    """
    text = _Text(fd)
    yield from text.expect("{")
    while True:
        key = yield from text.value()
        yield from text.expect(":")
        if key == "log_history":
            break
        yield from text.value()
        yield from text.expect(",")
    yield from text.expect("[")
    if (yield from text.next_is("]")):
        return
    while True:
        entry = yield from text.value()
        yield entry if entry is not None else ()  # None means something else
        if (yield from text.next_is("]")):
            return
        yield from text.expect(",")


class _Text:
    """A file of JSON as text, of which only what is not yet understood is held. Yields None for each piece read."""

    _BEHIND = re.compile(r"[ \t\r\n,:\]}]")
    _BLANK = re.compile(r"[ \t\r\n]*")
    _decode = json.JSONDecoder().raw_decode

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._held = ""
        self._at = 0

    def value(self) -> Generator[None, None, object]:
        """The value that comes next."""
        yield from self._to_next()
        while True:
            try:
                value, end = self._decode(self._held, self._at)
                if self._BEHIND.match(self._held, end):  # else a number may go on
                    self._at = end
                    return value
            except ValueError:
                pass  # its end is not there yet, or it is none: then no end will come
            if len(self._held) - self._at > LARGEST_VALUE:
                raise ValueError("a value is too large")
            yield from self._more()

    def expect(self, sign: str) -> Generator[None]:
        """Pass over this sign. ValueError where another one stands."""
        if not (yield from self.next_is(sign)):
            raise ValueError(f"{sign} is missing")
        self._at += 1

    def next_is(self, sign: str) -> Generator[None, None, bool]:
        """Whether this is what comes next."""
        yield from self._to_next()
        return self._held[self._at] == sign

    def _to_next(self) -> Generator[None]:
        while True:
            blank = self._BLANK.match(self._held, self._at)
            assert blank is not None
            self._at = blank.end()
            if self._at < len(self._held):
                return
            yield from self._more()

    def _more(self) -> Generator[None]:
        piece = os.pread(self._fd, PIECE_BYTES, self._offset)
        if not piece:
            raise ValueError("it ends too early")
        self._offset += len(piece)
        self._held = self._held[self._at :] + self._decoder.decode(piece)
        self._at = 0
        yield None
