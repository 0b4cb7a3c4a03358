"""How a winner ends without losing what it was about to save: which files are a save in progress, and when it is over.

Many trainings print a metric first and save afterwards. A worker that settles runs on until none of its processes
writes a file that was not open all along, and it has gone on to its next reading or been quiet for a while.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from wtrace.config import sources
from wtrace.data import data
from wtrace.race.open_file import FileId, OpenFile

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from wtrace.config.spec import RaceSpec, WorkerSpec

SettleCause = Literal["winner", "past_end"]

QUIET_S = 10.0
"""A worker in whose folders nothing has changed for so long is not about to save."""
STILL_S = 3.0
"""Where open files cannot be asked for: a file that has not changed for so long is whole."""
GROWTH_BYTES, GROWTH_S = 64 * 1024, 10.0
"""A file that grows by less than that in that time is a log, or hangs; no save is so slow."""
SHORTEST_S = 2.0
"""Where `settle` is shorter than that time, growth is waited for as long as `settle`, but no less than this."""
LOG_LOOKS = 5
"""A file that was seen open so often, and only grew, and that slowly, is open all the time."""
LOG_OPEN_S = 600.0
"""A file that was seen open for so long, and never cut short, is open all the time, however fast it grows."""
LOG_NAMES = ("events.out.tfevents.*", "*.wandb", "*.log")
"""Files that are open all the time, whatever they grow by."""


@data
class Settling:
    """A worker that is let go on until its saves are whole, then ended."""

    cause: SettleCause
    since: float
    epoch: int  # a reading of a later epoch says that it has gone on
    saving: str | None = None  # the file that it was seen to write last; None: none just then
    logs: tuple[FileId, ...] = ()  # open all along, so that they are no save
    seen: bool = False  # it has been looked at
    done: bool = False  # to be ended now


def ends_by(
    spec: RaceSpec, worker: WorkerSpec, *, saves_late: bool = False
) -> Literal["stop", "settle", "finish"]:
    """What becomes of this worker when it wins: `[race] on_win`, `auto` resolved by where its metrics come from.

    `saves_late`: by lines of wtrace's own it said that it saves after it reports.
    """
    if spec.on_win != "auto":
        return spec.on_win
    return "stop" if sources.is_own(spec.metrics_of(worker)) and not saves_late else "settle"


@data
class Seen:
    """An open file, since when it has gone on, and in how many looks running it grew as slowly as a log does."""

    file: OpenFile
    at: float
    since: float
    looks: int = 0


def remember(before: Mapping[FileId, Seen], found: Iterable[OpenFile], now: float) -> dict[FileId, Seen]:
    """What is open after another look; a file that was closed meanwhile, or written anew, begins anew."""
    return {file.identity: _seen_again(before.get(file.identity), file, now) for file in found}


def _seen_again(before: Seen | None, file: OpenFile, now: float) -> Seen:
    if before is None or not _goes_on(before.file, file):
        return Seen(file, now, now)
    return Seen(file, now, before.since, 0 if _grows(before, file, now) else before.looks + 1)


def _goes_on(before: OpenFile, now: OpenFile) -> bool:
    """Whether nothing speaks against the file having been open all the time, and only appended to.

    One that was truncated is smaller, or further back, or has as much in it as before but from another time; of an
    empty one nothing can be said.
    """
    shrunk = now.size < before.size or now.position < before.position
    rewritten = now.size == before.size and now.modified_ns != before.modified_ns
    return before.size > 0 and not shrunk and not rewritten


def _grows(before: Seen, file: OpenFile, now: float) -> bool:
    return file.size - before.file.size > GROWTH_BYTES * max(now - before.at, 1.0) / GROWTH_S


def is_log(seen: Seen) -> bool:
    """Whether the file is open all the time, so that its being open says nothing of a save."""
    known = seen.file.appends or is_log_name(seen.file.path.rpartition("/")[2])
    return known or seen.looks >= LOG_LOOKS - 1 or seen.at - seen.since >= LOG_OPEN_S


def is_log_name(name: str) -> bool:
    """Whether files of that name are open all the time."""
    return any(fnmatchcase(name, pattern) for pattern in LOG_NAMES)


def logs_among(seen: Mapping[FileId, Seen]) -> tuple[FileId, ...]:
    """Which of them are logs."""
    return tuple(sorted(identity for identity, each in seen.items() if is_log(each)))


@data
class Saved:
    """A file that is being saved: `size` when it had last grown by as much as a save does, and when that was.

    `again`: it was saved to its end before, since the worker settles; this is the save of a later epoch.
    """

    path: str
    size: int
    grew: float
    again: bool = False


def saves(
    before: Mapping[FileId, Saved],
    found: Iterable[OpenFile],
    logs: Iterable[FileId],
    now: float,
    *,
    finished: Container[str] = (),
) -> dict[FileId, Saved]:
    """The saves in progress: what is open and no log, with how far each has come. `finished`: paths saved before."""
    known = frozenset(logs)
    return {
        file.identity: grown(
            before.get(file.identity), file.path, file.size, now, again=file.path in finished
        )
        for file in found
        if file.identity not in known and not is_log(Seen(file, now, now))
    }


def grown(before: Saved | None, path: str, size: int, now: float, *, again: bool = False) -> Saved:
    """A file's growth after another look at it; one that was cut short is saved again."""
    if before is None:
        return Saved(path, size, now, again)
    if size < before.size:
        return Saved(path, size, now, again=True)
    return Saved(path, size, now, before.again) if size - before.size >= GROWTH_BYTES else before


@data
class Activity:
    """What a settling worker was seen to do: its saves, and when anything in its folders last changed."""

    saves: tuple[Saved, ...]
    changed: float
    asked: bool = True  # what it has open was; else only what changes can be seen


def may_end(settling: Settling, epoch: int, activity: Activity, limit_s: float, now: float) -> bool:
    """Whether the worker is to be ended: its saves are whole, or its time is over and none of them grows any more.

    One that saves all the time, into the same file, would never be ended: beyond its time a file is waited for once.
    """
    over = now >= settling.since + limit_s
    if activity.saves:
        patience_s = min(GROWTH_S, max(limit_s, SHORTEST_S))
        return over and all(each.again or now >= each.grew + patience_s for each in activity.saves)
    still_s = now - max(activity.changed, settling.since)
    gone_on = epoch > settling.epoch and (activity.asked or still_s >= STILL_S)
    return over or gone_on or still_s >= QUIET_S
