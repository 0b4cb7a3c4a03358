"""What all readers of text have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wtrace.metrics.follower import Position
from wtrace.metrics.records import Other
from wtrace.metrics.sources.places import open_regular

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.metrics.records import Record

_TEXT = Other("")


def as_text(_raw: bytes) -> Record:
    """A line of a file that holds no records."""
    return _TEXT


def beginning_at(path: Path, skip: int) -> Position | None:
    """The position after the last line that ends within the first `skip` bytes; None: the beginning."""
    fd = open_regular(path) if skip else None
    if fd is None:
        return None
    try:
        info = os.fstat(fd)
        begin = max(0, skip - 64 * 1024)
        ending = os.pread(fd, skip - begin, begin).rfind(b"\n")
        return Position(begin + ending + 1, info.st_dev, info.st_ino)
    finally:
        os.close(fd)
