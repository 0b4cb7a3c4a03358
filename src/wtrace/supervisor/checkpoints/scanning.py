"""Whether anything changes in a worker's folders: a look at the files in them, cheap enough to be taken every second."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from wtrace.race.settling import is_log_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wtrace.race.open_file import FileId

MOST_ENTRIES = 20_000
NEVER_SAVED_TO = frozenset({".git", ".venv", "node_modules", "__pycache__"})


class Scan(NamedTuple):
    """What lies in some folders: two that are equal mean that nothing has changed."""

    newest: str  # the file that was changed last; "": there is none
    modified_ns: int  # it was
    size: int  # of all files, bytes
    entries: int


def scan(folders: Iterable[Path], logs: frozenset[FileId]) -> Scan:
    """Look at the files in the folders and below, `logs` and links left out; at `MOST_ENTRIES` at most.

    Folders near the top come first: what lies deep in a large tree is data, and seldom written to.
    """
    queue = deque(os.fspath(folder) for folder in folders)
    newest, modified_ns, size, entries = "", 0, 0, 0
    while queue and entries < MOST_ENTRIES:
        for path, status in _entries(queue.popleft()):
            entries += 1
            if stat.S_ISDIR(status.st_mode):
                queue.append(path)
            elif stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in logs:
                size += status.st_size
                if status.st_mtime_ns > modified_ns:
                    newest, modified_ns = path, status.st_mtime_ns
    return Scan(newest, modified_ns, size, entries)


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """What the folder holds, but for what no training saves to."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name not in NEVER_SAVED_TO and not is_log_name(entry.name):
                    with contextlib.suppress(OSError):  # gone meanwhile
                        yield entry.path, entry.stat(follow_symlinks=False)
    except OSError:
        return
