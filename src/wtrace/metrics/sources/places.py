"""Find the files of a source below one of the worker's folders, without ever following a link out of it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wtrace.core.data import data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.core.sources import FilesPlace

MOST_FOLDERS = 256
MOST_FILES = 256
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
    files: set[Path] = set()
    seen = {(where.folder, 0)}
    waiting = [(where.folder, 0)]
    while waiting and len(seen) <= MOST_FOLDERS and len(files) <= MOST_FILES:
        folder, level = waiting.pop()
        found_files, below = _look_into(folder, where.parts, level)
        files.update(found_files)
        for each in below:
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    folders = sorted({folder for folder, _ in seen if folder.is_dir()})
    ordered = sorted(files, key=lambda path: _natural(str(path)))
    return Found(tuple(ordered[:MOST_FILES]), tuple(folders[:MOST_FOLDERS]), too_many=bool(waiting))


def _look_into(folder: Path, parts: tuple[str, ...], level: int) -> tuple[list[Path], list[tuple[Path, int]]]:
    """The files in the folder that match the last part, and the folders to look into at which level."""
    files: list[Path] = []
    below: list[tuple[Path, int]] = []
    part, is_last = parts[level], level + 1 == len(parts)
    if part == "**" and not is_last:
        below.append((folder, level + 1))
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return files, below
    for entry in entries:
        if not _matches(entry.name, part):
            continue
        if entry.is_dir(follow_symlinks=False):
            if part == "**":
                below.append((Path(entry.path), level))
            elif not is_last:
                below.append((Path(entry.path), level + 1))
        elif is_last and entry.is_file(follow_symlinks=False):
            files.append(Path(entry.path))
    return files, below


def _matches(name: str, part: str) -> bool:
    if name.startswith(".") and not part.startswith("."):
        return False
    return part == "**" or fnmatchcase(name, part)


def _natural(text: str) -> list[tuple[int, str]]:
    """`checkpoint-500` comes before `checkpoint-1000`."""
    return [
        (int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"([0-9]{1,18})", text)
    ]


def open_regular(path: Path) -> int | None:
    """A descriptor for reading a regular file; None where there is none, or something else lies there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return fd


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
    fd = open_regular(path)
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
