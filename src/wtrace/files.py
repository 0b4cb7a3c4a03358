"""Files written whole or not at all, and files that come from elsewhere, put below a folder.

For the latter no link is followed on the way, none is written through. Every step from the folder down is a directory
descriptor. So it does not matter what lies there, what came before, or
who changes it meanwhile: a name is a name in the folder that it was meant for.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parts_of(path: str) -> tuple[str, ...]:
    """The names of a relative path. ValueError for one that is none, or that leads out of where it begins."""
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if path.startswith("/") or ".." in parts or not parts or "\0" in path:
        raise ValueError(f"not a path below a folder: {path!r}")
    return parts


def leads_inside(target: str, depth: int) -> bool:
    """Whether a link, in a folder so many levels below the top, leads to something below the top.

    It may go up at its beginning alone: after a name, which may be a link itself, `..` would be anybody's guess. With every
    link below the top judged like this, none leads out through another.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    return not target.startswith("/") and "\0" not in target and ups <= depth and ".." not in parts[ups:]


@contextlib.contextmanager
def opened(
    top: Path, parts: Sequence[str] = (), *, make: bool = False, over_links: bool = False
) -> Iterator[int]:
    """The descriptor of a folder below `top`. `make`: it is made where it is missing, `over_links` in the place of a link.

    OSError where it is not there, or something else is in the way: a link too, which is never followed.
    """
    here = os.open(top, _FOLDER)
    try:
        for part in parts:
            if make:
                _make_folder(part, here, over_links=over_links)
            below = os.open(part, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _make_folder(name: str, inside: int, *, over_links: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        if over_links and stat.S_ISLNK(os.lstat(name, dir_fd=inside).st_mode):
            os.unlink(name, dir_fd=inside)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=inside)


@contextlib.contextmanager
def draft(folder: int, name: str) -> Iterator[BinaryIO]:
    """A file of our own to write to; it takes the name's place when the block ends well, and else is gone again."""
    drafted = _drafted(name)
    remove(drafted, folder)
    try:
        with os.fdopen(new_file(drafted, folder), "wb") as file:
            yield file
        os.rename(drafted, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        remove(drafted, folder)


def put_link(folder: int, name: str, target: str) -> None:
    """A link in the place of whatever file has the name."""
    drafted = _drafted(name)
    remove(drafted, folder)
    try:
        os.symlink(target, drafted, dir_fd=folder)
        os.rename(drafted, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        remove(drafted, folder)


def put_same(folder: int, name: str, source: int, source_name: str) -> None:
    """The regular file of that name in the folder `source`, here too: the same file, or a copy where that cannot be.

    In the place of whatever file has the name.
    """
    there = os.lstat(source_name, dir_fd=source)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(there, os.lstat(name, dir_fd=folder)):
            return
    drafted = _drafted(name)
    remove(drafted, folder)
    try:
        os.link(source_name, drafted, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        os.rename(drafted, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        with os.fdopen(open_regular(source_name, source), "rb") as original, draft(folder, name) as copy:
            shutil.copyfileobj(original, copy)
            os.utime(copy.fileno(), ns=(there.st_atime_ns, there.st_mtime_ns))
    finally:
        remove(drafted, folder)


def _drafted(name: str) -> str:
    """The same for the same name, so that what a kill left is taken away the next time; never too long."""
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:20]}.incoming"


def remove(name: str, folder: int) -> None:
    """Take the file or link away, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def new_file(name: str, folder: int) -> int:
    """The descriptor of a file that was not there before. OSError where anything has the name, a link too."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=folder)


def open_regular(name: str | Path, folder: int | None = None, *, flags: int = os.O_RDONLY) -> int:
    """The descriptor of a regular file itself: OSError for a link, a pipe, a device, a folder. It never waits."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(name))
    return descriptor


def read_small(path: Path, most_bytes: int = 1024 * 1024) -> bytes:
    """The whole of a regular file. OSError for what `open_regular` refuses, and for one that is larger. It never waits."""
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"larger than {most_bytes} bytes: {path}")
    return content


def write_atomically(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part; its mode is 0600.

    A link at `path` is replaced, never followed. `durable`: on the disk before this returns. OSError passes
    through, and then `path` is as it was. A process that is killed here leaves at most `.NAME.*.tmp` behind.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        _create(temporary, data, durable)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _create(path: Path, data: bytes, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted so that sums of data that hold sums are sound (TFRecord)."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFF_FFFF
    return ((crc >> 15 | crc << 17) + 0xA282_EAD8) & 0xFFFF_FFFF


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()
