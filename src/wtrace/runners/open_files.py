"""Which files processes hold open for writing, as /proc tells it. Linux only: elsewhere nobody can be asked."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from wtrace.race.open_file import OpenFile
from wtrace.runners.shim.shim_kernel import children

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

CAN_ASK = sys.platform == "linux"
HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110 (for each thread)


def tree(root: int) -> set[int]:
    """The processes below `root`, which is left out. Two walks: one misses the children of who ends meanwhile."""
    return {*_below(root), *_below(root)}


def _below(root: int) -> Iterator[int]:
    queue = [root]
    seen = {root}
    for pid in queue:
        for child in children(pid):
            if child not in seen:
                seen.add(child)
                queue.append(child)
                yield child


def held_for_writing(pids: Iterable[int], folders: Sequence[Path]) -> frozenset[OpenFile]:
    """The regular files at or below `folders` that one of these processes has open for writing.

    A file without a name any more (deleted) is left out, and so is what another user's process holds.
    """
    places = [os.path.realpath(folder) for folder in folders]
    found: dict[tuple[int, int], OpenFile] = {}
    for pid in pids:
        for each in _held_by(pid, places):
            known = found.get(each.identity)
            if known is None or each.position > known.position:
                found[each.identity] = each
    return frozenset(found.values())


def _held_by(pid: int, places: Sequence[str]) -> Iterator[OpenFile]:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 (names, and nothing else of them)
    except OSError:
        return  # gone, or another user's
    for number in numbers:
        link = f"/proc/{pid}/fd/{number}"
        try:
            path = os.readlink(link)  # noqa: PTH115 (a Path for each would double the cost)
            if not any(path == place or path.startswith(place + "/") for place in places):
                continue
            status = os.stat(link)  # noqa: PTH116
            flags, position = _fdinfo(pid, number)
        except (OSError, ValueError):
            continue  # closed meanwhile
        is_written = flags & os.O_ACCMODE != os.O_RDONLY
        if is_written and stat.S_ISREG(status.st_mode) and status.st_nlink:
            yield OpenFile(
                path,
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                position,
                bool(flags & os.O_APPEND),
            )


def _fdinfo(pid: int, number: str) -> tuple[int, int]:
    """(flags, position) of an open file. ValueError: it does not say."""
    with open(f"/proc/{pid}/fdinfo/{number}", "rb") as file:  # noqa: PTH123
        fields = dict(line.split(b":", 1) for line in file.read().splitlines()[:4] if b":" in line)
    return int(fields.get(b"flags", b"?"), 8), int(fields.get(b"pos", b"0"))
