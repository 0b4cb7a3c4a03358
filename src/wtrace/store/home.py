"""`.wtrace/` itself: made private, kept out of git, and locked by the one supervisor of the repo."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from wtrace.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.core.layout import Layout

KEPT_THERE = "wtrace keeps its records there"


def make_home(layout: Layout) -> None:
    """Make `.wtrace/` (mode 0700) with a `.gitignore` of its own. ToolError where the disk does not let us."""
    try:
        layout.home.mkdir(mode=0o700, exist_ok=True)
        layout.home.chmod(0o700)
        ignore = layout.home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
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
        opened = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def who_holds(layout: Layout) -> str:
    """The race's id as its supervisor wrote it into the lock file."""
    try:
        return layout.lock.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
