"""Where an export is written: whole, or not at all, and never over anything that is there unless that was asked for."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from wtrace.errors import ToolError, UsageError
from wtrace.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_file(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a file of that text. UsageError where there is something already; ToolError where the disk says no."""
    if os.path.lexists(path) and (not overwrite or path.is_dir()):
        raise _is_there(path)
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ToolError(f"cannot write {path}", seen=str(error)) from error


@contextlib.contextmanager
def new_folder(path: Path, *, ours: str, overwrite: bool) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends well; else nothing is left of it.

    UsageError where `path` is there already. `overwrite` replaces it, but only if every file in it has a name that
    begins with `ours`. ToolError where the disk says no.
    """
    if os.path.lexists(path):
        if not overwrite:
            raise _is_there(path)
        if path.is_symlink() or (foreign := _foreign(path, ours)) is not None:
            what = path if path.is_symlink() else foreign
            raise UsageError(f"{what} is no part of an export; {path} is left as it is", hint="move it away")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            old = temporary.with_suffix(".old")
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    except OSError as error:
        raise ToolError(f"cannot write {path}", seen=str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_there(path: Path) -> UsageError:
    return UsageError(
        f"{path} is there already", hint="name another `--output`, or replace it: `--overwrite`"
    )


def _foreign(folder: Path, ours: str) -> Path | None:
    """The first thing there that no export has written; None: nothing but ours."""
    if not folder.is_dir():
        return folder
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if (found := _foreign(entry, ours)) is not None:
                return found
        elif entry.is_symlink() or not entry.name.startswith(ours):
            return entry
    return None
