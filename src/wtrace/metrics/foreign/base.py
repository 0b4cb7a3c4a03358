"""What a reader of a foreign file gives, and what every reader offers."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING, Protocol, TypeAlias

from wtrace.data import data
from wtrace.metrics.follower import Position
from wtrace.metrics.foreign import screen
from wtrace.metrics.foreign.rows import Reading
from wtrace.metrics.foreign.source_files import open_if_regular
from wtrace.metrics.records import Other

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wtrace.metrics.records import Record


@data
class OwnLine:
    """A line of the worker protocol, found among others; it is passed on as it is."""

    raw: bytes


@data
class Problem:
    """Something that cannot be used, for a person. `kind` is equal for those that need telling only once."""

    kind: str
    text: str


@data
class Anew:
    """The file is read from its beginning again: what was read of it before comes once more."""


Item: TypeAlias = Reading | OwnLine | Problem | Anew


class Reader(Protocol):
    """Follows one file. Nothing is raised for what is found in it or at its path."""

    def read(self) -> tuple[Sequence[Item], bool]:
        """What came since the last call, and whether there is more than one turn should take; never waits."""

    def finish(self, *, whole: bool) -> Sequence[Item]:
        """What remains where nobody writes any more, once `read` has no more. `whole`: the writer ended by itself and well;
        else what it was writing may be torn.
        """

    def close(self) -> None:
        """Let go of the file."""


_TEXT = Other("")


def as_text(_raw: bytes) -> Record:
    """A line of a file that holds no records."""
    return _TEXT


def beginning_at(path: Path, skip: int) -> Position | None:
    """The position after the last line that ends within the first `skip` bytes; None: the beginning."""
    fd = open_if_regular(path) if skip else None
    if fd is None:
        return None
    try:
        info = os.fstat(fd)
        begin = max(0, skip - 64 * 1024)
        ending = os.pread(fd, skip - begin, begin).rfind(b"\n")
        return Position(begin + ending + 1, info.st_dev, info.st_ino)
    finally:
        os.close(fd)


_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def encoding_of(path: Path) -> str:
    """UTF-8, or UTF-16 where the file begins with that mark of its byte order."""
    fd = open_if_regular(path)
    if fd is None:
        return "utf-8"
    try:
        return _MARKS.get(os.pread(fd, 2, 0), "utf-8")
    except OSError:
        return "utf-8"
    finally:
        os.close(fd)


def decoded(raw: bytes, encoding: str) -> str:
    """The text of a line that was split off at the byte 10, without the mark of its byte order.

    In UTF-16 the newline's other half is the next line's first byte, or this one's last. (A character that holds the
    byte 10 elsewhere splits a line there; numbers and their names hold none.)
    """
    if encoding == "utf-16-le":
        raw = raw.removeprefix(b"\0")
    elif encoding == "utf-16-be" and len(raw) % 2:
        raw = raw.removesuffix(b"\0")
    return raw.decode(encoding, "replace").removeprefix("\ufeff")


def folded(raw: bytes) -> bytes:
    """The beginning of a line of UTF-8, shortened to what a terminal shows of it; see `screen.fold`.

    The NULs of a log that was cut off while it was written to show nothing.
    """
    raw = raw.replace(b"\0", b"")
    cut = max(raw.rfind(b"\r"), raw.rfind(b"\b"))  # a character or a sequence may be incomplete behind it
    if cut <= 0:
        return raw
    text = screen.fold(raw[:cut].decode("utf-8", "surrogateescape"))
    return text.encode("utf-8", "surrogateescape") + raw[cut:]
