"""A claim's checkpoint copied to where nobody changes it: beside the loop, holes kept, and only if it stayed the same."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.files import open_regular
from wtrace.race.freezing import FileSeen
from wtrace.supervisor import failpoints
from wtrace.supervisor.jobs.launch import may_pass
from wtrace.text import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

COPIED_AT_ONCE = 4 * 1024 * 1024  # bytes
SPARED = 64 * 1024 * 1024
"""Bytes that a copy leaves free, or a hundredth of the disk where that is less: the race is recorded there, too."""


log = logging.getLogger("wtrace")


class CopyError(Exception):
    """There will be no copy; the text completes `its checkpoint NAME …`."""


@data
class Copied:
    """It is there, and was the same before and after."""

    path: Path
    sha256: str


@data
class Changed:
    """It changed while it was copied: the copy is no more."""


@data
class NoRoom:
    """The disk has no room for it, or lets nobody write; `why` completes `its checkpoint NAME …`."""

    why: str
    wrote: bool = False  # that was seen only when some of it had been written


@data
class Failed:
    """It cannot be copied; `why` as above."""

    why: str


Outcome = Copied | Changed | NoRoom | Failed


def source_of(output: Path, checkpoint: str) -> Path:
    """The worker's file, links followed. CopyError where it lies outside of the output folder."""
    source = Path(os.path.realpath(output / checkpoint))
    if not source.is_relative_to(os.path.realpath(output)):
        raise CopyError("lies outside of the output folder")
    return source


def look_at(source: Path) -> FileSeen | None:
    """Which file lies there, and which content; None: there is none. CopyError where it is no regular file."""
    try:
        status = source.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CopyError(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise CopyError("is not a file")
    return _seen(status)


def _seen(status: os.stat_result) -> FileSeen:
    return FileSeen(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@contextlib.contextmanager
def opened(source: Path) -> Iterator[int]:
    """The file, open for reading; neither a FIFO nor a link that was put there just now. CopyError says why not."""
    try:
        descriptor = open_regular(source)
    except OSError as error:
        raise CopyError(f"cannot be read: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Copy:
    """One copy on its way, in a thread of its own: it spends its time in the kernel and in hashing, not in ours."""

    def __init__(self, original: tuple[Path, FileSeen] | None, copy: Path, wake: Callable[[], None]) -> None:
        """Copy the original to `copy`, if it is that file before and after; None: the copy is there, and is hashed.

        `wake` is called when there is an outcome.
        """
        self.outcome: Outcome | None = None
        self._original, self._copy, self._wake = original, copy, wake
        self._abandoned = threading.Event()
        self._wrote = False
        self._thread = threading.Thread(target=self._run, name=f"copy to {copy}", daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """Nobody wants it any more: what there is of it is removed, in its own time."""
        self._abandoned.set()

    def wait(self, timeout_s: float) -> None:
        """Until it has let go of everything, at most so long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            with failpoints.around("freeze"):
                self.outcome = self._hashed() if self._original is None else self._made(*self._original)
        except CopyError as error:
            self.outcome = Failed(str(error))
        except OSError as error:
            why = f"cannot be copied: {error.strerror or error}"
            self.outcome = NoRoom(why, self._wrote) if may_pass(error) else Failed(why)
        except Exception as error:
            log.exception("a checkpoint could not be copied")
            self.outcome = Failed(f"cannot be copied: {error}")
        finally:
            self._wake()

    def _hashed(self) -> Outcome:
        with self._copy.open("rb") as file:
            return Copied(self._copy, hashlib.file_digest(file, "sha256").hexdigest())

    def _made(self, source: Path, file: FileSeen) -> Outcome:
        self._copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opened(source) as original:
            why = room_problem(os.fstat(original), self._copy.parent)
            if why is not None:
                return why
            digest = self._written(
                original, file.size, lambda: file == _seen(os.fstat(original)) == look_at(source)
            )
        return Changed() if digest is None else Copied(self._copy, digest)

    def _written(self, original: int, length: int, is_same: Callable[[], bool]) -> str | None:
        """The copy's sha256; None where the original was not the same any more when all of it was read."""
        draft = self._copy.with_name(f".{self._copy.name}.draft")
        draft.unlink(missing_ok=True)  # of a supervisor that was killed; its mode forbids to write to it
        try:
            with draft.open("xb") as file:
                digest = self._fill(original, length, file)
            if self._abandoned.is_set() or not is_same():
                draft.unlink()
                return None
            draft.chmod(0o400)
            with failpoints.around("copy-appears"):
                draft.rename(self._copy)
        except BaseException:
            draft.unlink(missing_ok=True)  # on a full disk its room is wanted
            raise
        if self._abandoned.is_set():
            self._copy.unlink(missing_ok=True)
        return digest

    def _fill(self, original: int, length: int, file: BinaryIO) -> str:
        """Copy what is there, leave holes where there are holes, and hash both."""
        digest, at = hashlib.sha256(), 0
        for start, end in data_of(original, length):
            self._hash_hole(digest, start - at)
            file.seek(start)
            for offset in self._portions(start, end):
                part = os.pread(original, min(COPIED_AT_ONCE, end - offset), offset)
                digest.update(part)
                file.write(part)
                self._wrote = True
            at = end
        self._hash_hole(digest, length - at)
        file.truncate(length)
        file.flush()
        os.fsync(file.fileno())
        return digest.hexdigest()

    def _hash_hole(self, digest: hashlib._Hash, length: int) -> None:
        for offset in self._portions(0, length):
            digest.update(memoryview(_BLANK)[: length - offset])

    def _portions(self, start: int, end: int) -> Iterator[int]:
        """Where each portion begins; no more of them when nobody wants the copy any more."""
        for offset in range(start, end, COPIED_AT_ONCE):
            if self._abandoned.is_set():
                return
            yield offset


_BLANK = bytes(COPIED_AT_ONCE)


def data_of(descriptor: int, length: int) -> Iterator[tuple[int, int]]:
    """Where a file holds data, as (start, end); the rest are holes. Where nobody can say, all of it."""
    at = 0
    while at < length:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), length)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole from here on
                yield at, length
            return
        if start >= length:
            return
        yield start, end
        at = end


def room_problem(status: os.stat_result, folder: Path) -> NoRoom | Failed | None:
    """Why the disk cannot take a copy of that file: never, or not now. Holes take no room."""
    disk = os.statvfs(folder)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    if status.st_size > total:
        return Failed(f"says that it is {size(status.st_size)}, and the whole disk holds {size(total)}")
    wanted = min(status.st_blocks * 512, status.st_size)
    if wanted + min(SPARED, total // 100) > free:
        return NoRoom(f"takes {size(wanted)}, and {size(free)} of the disk are free")
    return None
