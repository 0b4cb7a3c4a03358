"""The files that ssh reads for a target: what they hold is approved, and what was approved is used."""

from __future__ import annotations

import glob
import os
import re
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.mirror.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1_000_000  # bytes
DEEPEST = 16  # as ssh has it
_INCLUDE = re.compile(r"^[ \t]*include[ \t=]+(.*)$", re.IGNORECASE | re.MULTILINE)


def anchored(root: Path, name: str) -> Path:
    """The file that `ssh_config` names: one that is relative lies in the repo, whoever asks from wherever."""
    return root / Path(name).expanduser()


def read(file: Path) -> bytes:
    """What it holds. SyncError where it is no regular file, or cannot be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
                raise SyncError(f"{file} is no config of ssh's", hint="look at what `ssh_config` names")
            return os.pread(descriptor, LARGEST, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SyncError(f"{file} cannot be read", seen=error.strerror, hint="look at `ssh_config`") from error


def all_of(file: Path, depth: int = 0) -> Iterator[bytes]:
    """Its content, and that of all that it includes, as ssh finds them."""
    content = read(file)
    yield content
    if depth >= DEEPEST:
        return
    for line in _INCLUDE.findall(content.decode("utf-8", "replace")):
        for pattern in _words(line):
            where = Path("~/.ssh").expanduser() / Path(pattern).expanduser()
            for found in sorted(glob.glob(str(where))):  # noqa: PTH207 - a pattern from outside may be absolute
                yield f"include {found}".encode()
                yield from all_of(Path(found), depth + 1)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # ssh will refuse it, too
        return []
