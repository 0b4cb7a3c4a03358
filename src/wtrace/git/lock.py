"""The one lock for all that writes to a repository, and notes about worktrees that are being made.

Both lie in `wtrace/` of the shared git folder. They are flocks: the kernel lets them go however a process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def writing(common: Path) -> Iterator[None]:
    """Hold the repository's lock, waiting for it as long as need be. ToolError where it cannot be had."""
    fd = _open(common / "wtrace" / "lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:  # a network file system without locks
            raise ToolError(f"cannot lock {common / 'wtrace' / 'lock'}", seen=error.strerror) from error
        yield
    finally:
        os.close(fd)


@data
class Intent:
    """A note that a worktree was being made for `worker` at `path`; left behind only by a process that was killed."""

    file: Path
    worker: str
    path: str


@contextmanager
def making(common: Path, worker: str, path: Path) -> Iterator[int]:
    """Note that a worktree is being made; gives a descriptor for git to inherit, so that the note outlives us.

    The note goes away when the block ends without an exception.
    """
    file = common / "wtrace" / "making" / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    # A fresh file each time: a daemon that an earlier git started may hold the lock of the old one for ever.
    file.unlink(missing_ok=True)
    fd = _open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, json.dumps({"worker": worker, "path": str(path)}).encode())
        yield fd
        file.unlink(missing_ok=True)
    finally:
        os.close(fd)


def left_over(common: Path) -> dict[str, Intent]:
    """The notes of worktrees whose making was cut off, by path."""
    found = {}
    for file in (common / "wtrace" / "making").glob("*"):
        try:
            note = json.loads(file.read_text())
            found[str(note["path"])] = Intent(file, str(note["worker"]), str(note["path"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # killed before it was written: nothing had begun
    return found


def wait_for_maker(intent: Intent, *, at_most_s: float = 30.0) -> None:
    """Wait until the git that was making this worktree has ended; UsageError when it works on for too long."""
    fd = _open(intent.file, os.O_RDWR)
    deadline = time.monotonic() + at_most_s
    try:
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                raise UsageError(
                    f"git is still making the worktree {intent.path}",
                    hint="wait until it is done (a large checkout, or a hook that has not ended), then try again",
                )
            time.sleep(0.02)
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(file: Path, flags: int) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, flags, 0o600)
    except OSError as error:
        raise ToolError(f"cannot write to {file.parent}", seen=error.strerror) from error
