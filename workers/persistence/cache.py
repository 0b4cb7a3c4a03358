"""Folders that are costly to make, made once and shared by all workers of the machine."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from persistence.errors import TrainingError
from persistence.reporting import say


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/wtrace-persistence`, or the same under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wtrace-persistence"


def made_once(folder: Path, make: Callable[[Path], None], is_intact: Callable[[Path], bool]) -> None:
    """See to it that `folder` is there and intact: `make` fills it, in one of all processes that ask at once.

    The others wait for it. What a killed process left half-made is never seen under the final name.
    Raises TrainingError where the folder cannot be written.
    """
    if is_intact(folder):
        return
    try:
        with _locked(folder.with_name(folder.name + ".lock")):
            if not is_intact(folder):
                _make(folder, make)
    except OSError as error:
        raise TrainingError(
            f"cannot write {folder}: {error.strerror or error}; try another --data-cache"
        ) from error


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Fill a folder of another name and move it into place. The caller holds the lock."""
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    make(partial)
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())  # a power cut must not leave the final name on missing content
    partial.rename(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file; wait for it as long as it takes. The system frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {path.stem}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
