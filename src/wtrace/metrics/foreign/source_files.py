"""Find the files of a source below one of the worker's folders, without ever following a link out of it."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wtrace.data import data
from wtrace.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wtrace.config.sources import FilesPlace

MOST_FOLDERS = 256
MOST_FILES = 256
MOST_ENTRIES = 100_000  # in all those folders, whether they match or not
ENTRIES_AT_ONCE = 1000
_TAIL_BYTES = 4096


class Leftover(NamedTuple):
    """A file as it was before the attempt: what it held then is not the attempt's."""

    size: int
    tail: str  # a digest of its last bytes
    inode: int | None = None  # None in what an earlier version wrote down
    changed: int | None = None  # when, in nanoseconds since 1970


@data
class Where:
    """A folder of the worker's, and below it one glob a level; `**` is any number of levels."""

    folder: Path
    parts: tuple[str, ...]


@data
class Found:
    """What lies there now. `folders` are those in which another file may appear."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    too_many: bool = False


def located(place: FilesPlace, *, output: Path, worktree: Path, cwd: str | None) -> Where:
    """The place on disk, for a worker with these folders; `cwd` is relative to the worktree."""
    if place.base == "output":
        return Where(output, place.parts)
    above = tuple(part for part in (cwd or "").split("/") if part not in {"", "."})
    return Where(worktree, (*above, *place.parts) if place.base == "cwd" else place.parts)


def look(where: Where) -> Found:
    """The files that match, in the order of the numbers in their names. Links and hidden names are passed over."""
    return next(found for found in search(where) if found is not None)


def search(where: Where) -> Iterator[Found | None]:
    """As `look`, some entries at a time: None while there is more to look at, at last what was found.

    Of more than `MOST_FILES` that match, the first ones by the numbers in their names.
    """
    files: set[Path] = set()
    seen = {(where.folder, 0)}
    waiting = [(where.folder, 0)]
    entries, too_many = 0, False
    while waiting and len(seen) <= MOST_FOLDERS and entries < MOST_ENTRIES:
        folder, level = waiting.pop()
        for entry in _entries(folder, where.parts, level):
            entries += 1
            if entries % ENTRIES_AT_ONCE == 0:
                yield None
            if entries >= MOST_ENTRIES:
                too_many = True
                break
            if isinstance(entry, Path):
                files.add(entry)
            elif entry is not None and entry not in seen:
                seen.add(entry)
                waiting.append(entry)
        if len(files) > MOST_FILES:
            too_many = True
            files = set(_first(files))
    folders = sorted({folder for folder, _ in seen if folder.is_dir()})
    yield Found(tuple(_first(files)), tuple(folders[:MOST_FOLDERS]), too_many=too_many or bool(waiting))


def _first(files: Iterable[Path]) -> list[Path]:
    return heapq.nsmallest(MOST_FILES, files, key=lambda path: _natural(str(path)))


def _entries(folder: Path, parts: tuple[str, ...], level: int) -> Iterator[Path | tuple[Path, int] | None]:
    """For each entry of the folder the file that matches the last part, or a folder to look into at which level."""
    part, is_last = parts[level], level + 1 == len(parts)
    if part == "**" and not is_last:
        yield folder, level + 1
    try:
        opened = os.scandir(folder)
    except OSError:
        return
    with opened, contextlib.suppress(OSError):
        for entry in opened:
            if not _matches(entry.name, part):
                yield None
            elif entry.is_dir(follow_symlinks=False):
                below = level if part == "**" else level + 1
                yield (Path(entry.path), below) if part == "**" or not is_last else None
            else:
                yield Path(entry.path) if is_last and entry.is_file(follow_symlinks=False) else None


def _matches(name: str, part: str) -> bool:
    if name.startswith(".") and not part.startswith("."):
        return False
    return part == "**" or fnmatchcase(name, part)


def _natural(text: str) -> list[tuple[int, str]]:
    """`checkpoint-500` comes before `checkpoint-1000`."""
    return [
        (int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"([0-9]{1,18})", text)
    ]


def open_if_regular(path: Path) -> int | None:
    """A descriptor for reading a regular file; None where there is none, or something else lies there."""
    try:
        return open_regular(path)
    except OSError:
        return None


def leftovers(where: Where) -> dict[str, Leftover]:
    """What lies there before the attempt begins, by path."""
    measured = {str(path): _measured(path, None) for path in look(where).files}
    return {path: found[0] for path, found in measured.items() if found is not None}


def not_ours(path: Path, known: Mapping[str, Leftover]) -> int:
    """How many bytes at the file's beginning lay there before the attempt began.

    None of another file, nor of one that has the same bytes and was written again since: a training that repeats itself.
    """
    leftover = known.get(str(path))
    found = None if leftover is None else _measured(path, leftover.size)
    if leftover is None or found is None:
        return 0
    same, size = found
    if same.tail != leftover.tail:
        return 0
    if leftover.inode is not None:
        rewritten = size == leftover.size and same.changed != leftover.changed
        if rewritten or same.inode != leftover.inode:
            return 0
    return leftover.size


def _measured(path: Path, size: int | None) -> tuple[Leftover, int] | None:
    """The file as it is, or as its first `size` bytes are, and its size; None where it is shorter, or cannot be read."""
    fd = open_if_regular(path)
    if fd is None:
        return None
    try:
        info = os.fstat(fd)
        if size is not None and info.st_size < size:
            return None
        size = info.st_size if size is None else size
        begin = max(0, size - _TAIL_BYTES)
        tail = hashlib.sha256(os.pread(fd, size - begin, begin)).hexdigest()
        return Leftover(size, tail, info.st_ino, info.st_mtime_ns), info.st_size
    except OSError:
        return None
    finally:
        os.close(fd)
