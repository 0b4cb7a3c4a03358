"""Linux's inotify, in the few lines of it that following metrics needs (inotify(7))."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING

from wtrace.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODIFY = 0x2
_MOVED_TO = 0x80
_CREATE = 0x100
_OVERFLOW = 0x4000
_IGNORED = 0x8000
_ONLYDIR = 0x0100_0000
_DONT_FOLLOW = 0x0200_0000
_MASK_ADD = 0x2000_0000  # two paths may lead to one inode, which has one watch: never take from its mask

_FILE_MASK = _MODIFY | _DONT_FOLLOW | _MASK_ADD
_FOLDER_MASK = _CREATE | _MOVED_TO | _ONLYDIR | _MASK_ADD

_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_BUFFER_BYTES = 64 * 1024


class InotifyWatcher:
    """A `Watcher` that the kernel wakes.

    A file is watched through its inode, which tells writes, and through its folder, which tells when another
    inode comes to lie at the path. `_paths` leads from a watch to every path that means its inode.
    """

    poll_every_s: float | None = None

    def __init__(self) -> None:
        """Raises OSError where inotify cannot be had."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._paths: dict[int, set[Path]] = {}
        self._file_watch: dict[Path, int | None] = {}  # None: nothing lies there now
        self._folder_watch: dict[Path, int] = {}
        self._told_folders: set[Path] = set()  # the others are only watched for the sake of a file

    def fileno(self) -> int | None:
        """Readable when `changed` may have something to say."""
        return self._fd

    def watch_file(self, path: Path) -> None:
        """See `Watcher.watch_file`."""
        self._add_folder(path.parent)
        self._file_watch.setdefault(path, None)
        self._find_inode(path)

    def watch_folder(self, path: Path) -> None:
        """See `Watcher.watch_folder`."""
        self._add_folder(path)
        self._told_folders.add(path)

    def forget(self, path: Path) -> None:
        """See `Watcher.forget`."""
        self._drop(path, self._file_watch.pop(path, None))
        self._told_folders.discard(path)
        for folder in {path, path.parent} & self._folder_watch.keys():
            if folder not in self._told_folders and all(file.parent != folder for file in self._file_watch):
                self._drop(folder, self._folder_watch.pop(folder))

    def changed(self) -> set[Path]:
        """See `Watcher.changed`. One call reads a few thousand events; `fileno` stays readable for the rest."""
        try:
            events = os.read(self._fd, _BUFFER_BYTES)
        except BlockingIOError:
            return set()
        changed: set[Path] = set()
        for watch, mask, name in _parse(events):
            if mask & _OVERFLOW:
                changed |= self._everything()
            elif mask & _IGNORED:
                changed |= self._lost(watch)
            elif name:
                changed |= self._entered(watch, name)
            else:
                changed |= self._paths.get(watch, set())
        return changed

    def close(self) -> None:
        """Let go of everything; the watcher is not used any more."""
        os.close(self._fd)

    def _everything(self) -> set[Path]:
        """Events were dropped: anything may have changed, also which inode lies at a path."""
        for path in self._file_watch:
            self._find_inode(path)
        return self._file_watch.keys() | self._told_folders

    def _lost(self, watch: int) -> set[Path]:
        """The kernel removed a watch: its inode is gone."""
        paths = self._paths.pop(watch, set())
        for path in paths:
            if self._file_watch.get(path) == watch:
                self._file_watch[path] = None
            if self._folder_watch.get(path) == watch:
                del self._folder_watch[path]
        return paths & (self._file_watch.keys() | self._told_folders)

    def _entered(self, watch: int, name: str) -> set[Path]:
        """Something was created in a watched folder or moved there."""
        folders = self._paths.get(watch, set())
        files = {folder / name for folder in folders} & self._file_watch.keys()
        for path in files:
            self._find_inode(path)
        return files | (folders & self._told_folders)

    def _find_inode(self, path: Path) -> None:
        """Watch what lies at the path now, and no longer what lay there before."""
        old = self._file_watch[path]
        try:
            new: int | None = self._add(path, _FILE_MASK)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _cannot_watch(path, error) from error
            new = None  # nothing there, or nothing that may be read: whoever opens it will say so
        if new != old:
            self._drop(path, old)
        self._file_watch[path] = new

    def _add_folder(self, path: Path) -> None:
        if path not in self._folder_watch:
            try:
                self._folder_watch[path] = self._add(path, _FOLDER_MASK)
            except OSError as error:
                raise _cannot_watch(path, error) from error

    def _add(self, path: Path, mask: int) -> int:
        watch = self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint(mask)))
        self._paths.setdefault(watch, set()).add(path)
        return watch

    def _drop(self, path: Path, watch: int | None) -> None:
        """A path no longer means this watch's inode; the last one takes the watch along."""
        paths = self._paths.get(watch, set()) if watch is not None else set()
        paths.discard(path)
        if watch is not None and not paths:
            self._paths.pop(watch, None)
            self._libc.inotify_rm_watch(self._fd, watch)  # fails where the kernel was faster: nothing to do

    @staticmethod
    def _checked(result: int) -> int:
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def _cannot_watch(path: Path, error: OSError) -> ToolError:
    full = error.errno == errno.ENOSPC  # not the disk: the user's watches are used up
    return ToolError(
        f"cannot watch {path}",
        seen="no inotify watch is left" if full else error.strerror,
        hint="raise fs.inotify.max_user_watches (sysctl)" if full else None,
    )


def _parse(events: bytes) -> Iterator[tuple[int, int, str]]:
    """(watch, mask, name) of each event; the name is empty where the watched inode itself is meant."""
    at = 0
    while at < len(events):
        watch, mask, _, length = _EVENT.unpack_from(events, at)
        at += _EVENT.size + length
        name = os.fsdecode(events[at - length : at].rstrip(b"\0")) if length else ""
        yield watch, mask, name
