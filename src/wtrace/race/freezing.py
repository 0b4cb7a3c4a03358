"""When the file that a claim names may be copied: it is whole, and it is of the claim's epoch.

Whole: nobody of the worker's holds it open for writing, or, where that cannot be asked, it has not changed for a while.
Of the claim's epoch: a worker that names the file in lines of its own has saved it by then, so what is written over it
later is not what was judged. A training whose printed lines are read, and which keeps one file for all epochs, may save
before it prints or afterwards. By its first reading it shows which: the file is there already, or it is not.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from wtrace.data import data, replace
from wtrace.race.claims import names_when_saved, reports_first
from wtrace.race.whole import doubt

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec
    from wtrace.race.claims import Claim
    from wtrace.race.whole import Ending

STILL_S = 2.0
"""Where nobody can say whether a file is open for writing, it is whole when it has not changed for so long."""
SAME_SAVE_WITHIN_S = 0.4
"""A file that has grown between two looks is one save only if no other can have begun between them."""
CLOCK_S = 1.0
"""A file's time and ours may differ by so much."""


@data
class FileSeen:
    """Which file it is, and which content: what changes when it is written, replaced or touched."""

    device: int
    inode: int
    size: int  # bytes
    modified_ns: int

    @property
    def modified(self) -> float:
        """Seconds since 1970."""
        return self.modified_ns / 1e9

    def grew_to(self, later: FileSeen) -> bool:
        """Whether that may be the same file, with more written to its end."""
        return (self.device, self.inode) == (later.device, later.inode) and later.size >= self.size


@data
class Look:
    """What was seen of the file at one moment; `file` is None where it is not there."""

    at: float
    file: FileSeen | None
    writing: bool | None = None  # somebody of the worker's has it open for writing; None: it cannot be told
    printed_at: float | None = None  # when the worker last printed, where what it prints is read
    until: float = 0.0  # when the file had been looked at; `at` is when the loop's turn began
    all_read: bool = True  # whatever the worker had reported by the look before this one has been read


@data
class Seen:
    """What the looks so far amount to."""

    last: Look
    changed_at: float  # when a look first showed what the last one shows
    found_at: float  # when a look first showed the present content, or the save that it is from
    began: float  # when that save began: as the first look has it by its own time, else when it was found
    printed_at: float | None  # at the first look
    first_whole: FileSeen | None = None  # the content, where the first look found a whole file
    known_at: float | None = None  # since when what had been reported before `found_at` has been read
    open_since: float | None = None  # since when each look has found it open, and longer than before

    def was_there_before(self, report: float) -> bool:
        """Whether the content, or its save, began before the report that was read at that time was made."""
        return self.known_at is not None and self.known_at < report


@data
class Habit:
    """When a training saves its one file: before it reports an epoch, or afterwards."""

    saves_first: bool | None = None  # None: it cannot be told
    previous: float | None = None  # when it reported the epoch before its latest one


@data
class Take:
    """It may be copied now."""


@data
class Wait:
    """Not yet; `why` completes `its checkpoint NAME …`."""

    why: str


@data
class Lost:
    """It never will; `why` as above."""

    why: str


def seen_now(before: Seen | None, look: Look) -> Seen:
    """The looks so far, and this one."""
    open_since = _open_since(before, look)
    if before is None:
        began = look.at if look.file is None or look.writing else min(look.file.modified, look.at)
        first = Seen(look, look.at, look.at, began, look.printed_at, open_since=open_since)
        return replace(first, first_whole=look.file) if _wait_for_whole(first, ended=False) is None else first
    known_at = look.at if before.known_at is None and look.all_read else before.known_at
    if look.file == before.last.file:
        return replace(before, last=look, known_at=known_at, open_since=open_since)
    changed = replace(before, last=look, changed_at=look.at, open_since=open_since)
    if _goes_on(before, look):
        return replace(changed, known_at=known_at)
    return replace(changed, found_at=look.at, began=look.at, known_at=None)


def _open_since(before: Seen | None, look: Look) -> float | None:
    if not look.writing:
        return None
    grows = before is not None and before.last.writing and _grew(before.last, look)
    return before.open_since if before is not None and grows else look.at


def _grew(before: Look, look: Look) -> bool:
    return before.file is not None and look.file is not None and before.file.grew_to(look.file)


def _goes_on(before: Seen, look: Look) -> bool:
    """Whether both looks see one save: the file only grew while it stayed open, and there was no time for another.

    Another one would have to end this one, report, begin, and come further than this one had: for that it needs longer
    than this one was seen to take so far.
    """
    last = before.last
    if before.open_since is None or not _grew(last, look):
        return False
    return max(look.at, look.until) - last.at <= min(SAME_SAVE_WITHIN_S, last.at - before.open_since)


def may_copy(
    spec: RaceSpec, claim: Claim, seen: Seen, habit: Habit, *, ending: Ending, limit_s: float
) -> Take | Wait | Lost:
    """What is to be done about a claim's file after a look. `ending` says whether its worker still runs.

    `limit_s` is how long it is waited for while nothing changes.
    """
    look, now, ended = seen.last, seen.last.at, ending.at is not None
    wait = _wait_for_whole(seen, ended=ended)
    if wait is not None:
        given_up = ended or now >= max(claim.at, seen.changed_at) + limit_s
        return Lost(f"{wait.why} after {limit_s:g} s" if not ended else wait.why) if given_up else wait
    assert look.file is not None
    if ended and (torn := _doubt(spec, claim, look.file, ending)) is not None:
        return torn
    overwritten = Lost("was overwritten by a later epoch before it could be copied")
    if claim.overtaken is not None and seen.found_at >= claim.overtaken:
        return overwritten
    if habit.saves_first or not reports_first(spec, claim.worker):
        return _saved_first(claim, seen)
    if claim.overtaken is not None and not seen.was_there_before(claim.overtaken):
        return overwritten
    if seen.known_at is None:  # a later epoch may have been reported first, and not been read yet
        return Wait("has just been written")
    return _of_one_file(claim, seen, habit, ended=ended, limit_s=limit_s)


def _doubt(spec: RaceSpec, claim: Claim, file: FileSeen, ending: Ending) -> Lost | None:
    named_at = claim.at if names_when_saved(spec, claim.worker) else None
    why = doubt(posixpath.normpath(claim.checkpoint or ""), file.modified, ending, named_at)
    return None if why is None else Lost(f"may not be whole: {why}")


def _wait_for_whole(seen: Seen, *, ended: bool) -> Wait | None:
    look = seen.last
    if look.file is None:
        return Wait("is not there")
    if ended:
        return None
    if look.writing:
        return Wait("is being written")
    if look.writing is None and look.at < _still_since(seen, look.file) + STILL_S:
        return Wait("may be being written")
    return None


def _still_since(seen: Seen, file: FileSeen) -> float:
    """By its own time where no look has seen it change, and that is no time to come."""
    is_first = seen.began == file.modified
    return file.modified if is_first and file.modified <= seen.changed_at else seen.changed_at


def _saved_first(claim: Claim, seen: Seen) -> Take | Lost:
    """It was whole when it was named; whatever was written over it since is of another epoch."""
    look = seen.last
    assert look.file is not None
    was_whole = seen.first_whole is not None and not claim.seen_incomplete
    is_here = look.writing is not None  # a mirror of another machine's file has the time of its arrival
    changed = look.file != seen.first_whole or (is_here and look.file.modified > claim.at + CLOCK_S)
    if was_whole and changed:
        return Lost("was overwritten before it could be copied")
    return Take()


def _of_one_file(
    claim: Claim, seen: Seen, habit: Habit, *, ended: bool, limit_s: float
) -> Take | Wait | Lost:
    """A file that is the same for all epochs, of a training that may save it before it reports one or afterwards."""
    # The line may have been read long after it was written; nothing that was printed later came before it.
    reported = claim.at if seen.printed_at is None else min(claim.at, seen.printed_at)
    if seen.began > reported:
        return Take()
    now = seen.last.at
    until = claim.at + limit_s
    if habit.saves_first is None:  # the nearer of the two epochs that it may be of
        until = min(until, claim.at + (reported - seen.began))
    if now < until and claim.overtaken is None and not ended:
        return Wait(f"has not been written since epoch {claim.epoch} was reported")
    if habit.previous is not None and seen.began < habit.previous:
        return Lost(f"was not written for epoch {claim.epoch}")
    return Take()


def habit_at_first(
    file: FileSeen | None, *, began: float, silent_at: float | None, printed_at: float | None
) -> Habit:
    """The habit, after the first reading of an attempt that began at `began`.

    `silent_at`: when nothing had been reported yet; `printed_at`: when the worker last printed, where that is read.
    """
    if file is None or file.modified < began - CLOCK_S:
        return Habit(saves_first=False)
    if printed_at is not None and file.modified > printed_at:
        return Habit(saves_first=False)
    if silent_at is not None and file.modified < silent_at:
        return Habit(saves_first=True)
    return Habit()
