"""Whether a file is whole that a worker left: nobody can have been in the middle of writing it when its worker ended."""

from __future__ import annotations

from wtrace.data import data
from wtrace.race.settling import QUIET_S

NOT_THERE = "it is not there"
MOMENT_S = 0.02
"""The times of two files that were written one after the other may be off by so much."""


@data
class Ending:
    """How a worker's latest attempt ended."""

    at: float | None = None  # when no process of it was left (seconds since 1970); None: it runs
    by_itself: bool = False  # with exit code 0
    settled: bool = False  # it was ended when nothing that it saved could be lost any more
    last_line: float | None = None  # when it last wrote a line of its own
    writing: str | None = None  # it still wrote that file when its time to settle was over


def doubt(name: str, modified: float, ending: Ending, named_at: float | None = None) -> str | None:
    """Why the file may not be whole; None where it is.

    `modified` is its time. `named_at`: when a line was read that named it, of a worker that saves first.
    """
    if ending.at is None:
        return "its worker still runs"
    if name == ending.writing:
        return "it was still being written when its worker was ended"
    if ending.by_itself or ending.settled or modified <= ending.at - QUIET_S:
        return None
    if named_at is not None:  # the line may have been read long after it was written
        named_at = named_at if ending.last_line is None else min(named_at, ending.last_line)
        if modified <= named_at + MOMENT_S:
            return None
    before_s = max(0.0, ending.at - modified)
    return f"it was written {before_s:.1f} s before its worker was ended, perhaps amid a save"
