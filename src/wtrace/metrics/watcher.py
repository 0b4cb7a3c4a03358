"""Wait for files to change: woken by the kernel where it can do that, else by looking now and then."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from wtrace.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path


class Watcher(Protocol):
    """Tells which files have changed. Paths are told exactly as they were given.

    Only changes after the call of `watch_…` are told: look once yourself after it. A path may be told although
    nothing is new there. Writes through a memory map, or from another machine on a network file system, are
    not seen by the kernel's watcher.
    """

    poll_every_s: float | None
    """How often `changed` must be asked because nothing wakes the loop; None where `fileno` does."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when `changed` may have something to say; None where there is none."""

    def watch_file(self, path: Path) -> None:
        """Tell when the file is written, shortened, made (anew), or replaced by another. It need not exist yet.

        Its folder must exist: ToolError.
        """

    def watch_folder(self, path: Path) -> None:
        """Tell when an entry is made in the folder or moved there; not when an entry's content changes.

        ToolError where the folder is not there.
        """

    def forget(self, path: Path) -> None:
        """Tell this file or folder no more. One that is not watched is no mistake."""

    def changed(self) -> set[Path]:
        """What has changed since the last call; never waits. If events were lost: everything watched."""

    def close(self) -> None:
        """Let go of everything; the watcher is not used any more."""


def make_watcher() -> Watcher:
    """The best watcher that is to be had here."""
    from wtrace.metrics.inotify import InotifyWatcher

    try:
        return InotifyWatcher()
    except OSError:  # not Linux, or the user's inotify instances are used up
        return StatWatcher()


_FileSign = tuple[int, int, int, int] | None
_FolderSign = frozenset[tuple[str, int]]


class StatWatcher:
    """A `Watcher` that compares, when asked, what `stat` says. Works everywhere."""

    poll_every_s: float | None = 0.25

    def __init__(self) -> None:
        self._files: dict[Path, _FileSign] = {}
        self._folders: dict[Path, _FolderSign] = {}

    def fileno(self) -> int | None:
        """There is none: ask every `poll_every_s`."""
        return None

    def watch_file(self, path: Path) -> None:
        """See `Watcher.watch_file`."""
        _require_folder(path.parent)
        self._files.setdefault(path, _file_sign(path))

    def watch_folder(self, path: Path) -> None:
        """See `Watcher.watch_folder`."""
        _require_folder(path)
        self._folders.setdefault(path, _folder_sign(path))

    def forget(self, path: Path) -> None:
        """See `Watcher.forget`."""
        self._files.pop(path, None)
        self._folders.pop(path, None)

    def changed(self) -> set[Path]:
        """See `Watcher.changed`."""
        changed: set[Path] = set()
        for path, file_before in self._files.items():
            file_now = self._files[path] = _file_sign(path)
            if file_now != file_before:
                changed.add(path)
        for path, folder_before in self._folders.items():
            folder_now = self._folders[path] = _folder_sign(path)
            if not folder_now <= folder_before:
                changed.add(path)
        return changed

    def close(self) -> None:
        """Nothing is held."""


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        raise ToolError(f"cannot watch {path}", seen="no such folder")


def _file_sign(path: Path) -> _FileSign:
    try:
        info = path.lstat()
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def _folder_sign(path: Path) -> _FolderSign:
    # Not the folder's own time: two changes within one tick of the clock would look like one.
    try:
        with os.scandir(path) as entries:
            return frozenset((entry.name, entry.inode()) for entry in entries)
    except OSError:
        return frozenset()
