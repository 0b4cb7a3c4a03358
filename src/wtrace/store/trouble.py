"""A few words that must be told although the disk is full: they lie in a file that was given its room before."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROOM_BYTES = 1024


def file_of(database: Path) -> Path:
    """The file, beside the database."""
    return database.with_name(f"{database.name}-trouble")


def tell(path: Path, race: str, at: float, text: str) -> None:
    """Say what is wrong with that race's record. Where even that cannot be written: nothing."""
    _write(path, f"{race}\n{at}\n{' '.join(text.split())}")


def clear(path: Path) -> None:
    """All is well. Makes the file where it is missing, so that there is room when there is none."""
    _write(path, "")


def read(path: Path, race: str) -> tuple[float, str] | None:
    """When the trouble of that race began, and what it is; None: there is none."""
    try:
        told, at, text = path.read_text(encoding="utf-8", errors="replace").split("\n", 2)
        return (float(at), text.rstrip()) if told == race else None
    except (OSError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(descriptor, text.encode()[:ROOM_BYTES].ljust(ROOM_BYTES), 0)
        finally:
            os.close(descriptor)
