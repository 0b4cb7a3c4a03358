"""`.wtrace/` itself: made private, kept out of git, and locked by the one supervisor of the repo."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING

from wtrace.errors import ToolError, UsageError
from wtrace.store import approvals, foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.race.paths import Layout, RaceLayout

LONGEST_HOLDER = 1000  # bytes
KEPT_THERE = "wtrace keeps its records there"
NOT_OURS = (
    "wtrace makes this folder itself, for one user on one machine: look at what it holds, then move it away"
)


def require_own(layout: Layout) -> None:
    """UsageError where `.wtrace/` is a link, holds links, or belongs to somebody else: nothing in it is touched."""
    _refuse(foreign.problem(str(layout.root)))


def require_own_race(race: RaceLayout) -> None:
    """The same of one race's folder; of one that this user started and that is still open, its workers may have put anything
    there, nothing of it is followed, and they must be ended all the same.
    """
    if approvals.has_start(race.folder.parents[2], race.folder.name):
        return
    _refuse(foreign.problem_of_race(str(race.folder)))


def _refuse(problem: str | None) -> None:
    if problem is not None:
        raise UsageError(
            f"what lies in {foreign.HOME} was not made by wtrace here", seen=problem, hint=NOT_OURS
        )


def make_home(layout: Layout) -> None:
    """Make `.wtrace/` (mode 0700) with a `.gitignore` of its own; no link is followed.

    ToolError where the disk does not let us.
    """
    try:
        with contextlib.suppress(FileExistsError):
            layout.home.mkdir(mode=0o700)
        folder = os.open(layout.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(folder, 0o700)
            with contextlib.suppress(FileExistsError):
                ignore = os.open(".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
                with open(ignore, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
                    file.write("*\n")
        finally:
            os.close(folder)
    except OSError as error:
        raise ToolError(f"cannot write to {layout.home}", seen=str(error), hint=KEPT_THERE) from error


def point_latest(layout: Layout, race_id: str) -> None:
    """Let `.wtrace/latest` lead to that race."""
    temporary = layout.home / f".latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.join("races", race_id))  # noqa: PTH118 (a link's text, not a path of ours)
    temporary.replace(layout.latest)


@contextlib.contextmanager
def race_lock(layout: Layout) -> Iterator[int | None]:
    """Hold the lock of the repo's one running race; None when another process holds it.

    The descriptor may be handed to a child, which then holds the lock too: it is free when the last one is closed.
    """
    try:
        opened = _open_lock(layout, os.O_RDWR | os.O_CREAT)
        # Where standard output was closed, the lock would take its place, and be lost on the way to the supervisor.
        descriptor = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(opened)
    except OSError as error:
        raise ToolError(f"cannot write to {layout.home}", seen=str(error), hint=KEPT_THERE) from error
    try:
        # `is_locked` holds the lock for a moment; a supervisor holds it for hours.
        patience = 10
        while not (held := _lock(descriptor, fcntl.LOCK_EX)) and patience:
            patience -= 1
            time.sleep(0.02)
        yield descriptor if held else None
    finally:
        os.close(descriptor)


def write_holder(descriptor: int, text: str) -> None:
    """Say in the lock file who holds it, for people and for `who_holds`."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def is_locked(layout: Layout) -> bool:
    """Whether a supervisor lives in this repo."""
    try:
        descriptor = _open_lock(layout, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def who_holds(layout: Layout) -> str:
    """The race's id as its supervisor wrote it into the lock file."""
    try:
        descriptor = _open_lock(layout, os.O_RDONLY)
    except (OSError, UsageError):
        return ""
    try:
        return os.pread(descriptor, LONGEST_HOLDER, 0).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    finally:
        os.close(descriptor)


def _open_lock(layout: Layout, flags: int) -> int:
    """The lock file itself: through no link, and under no second name, since what holds the lock writes to it."""
    try:
        descriptor = os.open(layout.lock, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            _refuse(f"{layout.lock} is a link")
        raise
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(descriptor)
        _refuse(f"{layout.lock} is no file, or has a second name")
    return descriptor


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
