"""What a race left in a worktree: files that its processes made there. They are the race's, and nobody's work.

Nobody says whose a file is; it follows from times that nobody can set. A file is the race's when its ctime lies in a span in
which one of the race's processes ran there, when nobody has changed the folders around it since, and when nothing lay
in its place before. Whatever is in doubt is the user's.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import ToolError
from wtrace.git import copies, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

NOTE = "wtrace-before"
"""What lay untracked in the worktree before the newest race began there: JSON, a list of paths."""


@data
class Span:
    """A time in which a process of a race ran in a worktree, and the folder for what it left there."""

    start_ns: int
    end_ns: int
    into: Path


def note_before(worktree: Path, spans: Callable[[], Mapping[Path, Sequence[Span]]]) -> None:
    """Note, before a race begins in a worktree that wtrace made, what lies there already and is no earlier race's.

    `spans` is asked only where something lies that could be an earlier race's. Without room for the note, what the race leaves is taken for the user's.
    """
    from wtrace.git.changes import own_files

    if registry.read_note(worktree, registry.MARKER) is None:
        return
    names = own_files(worktree)
    if names:
        of_races = of_race(worktree, names, spans().get(worktree, ()))
        names = [name for name in names if name not in of_races]
    write_before(worktree, names)


def write_before(worktree: Path, names: Sequence[str]) -> None:
    """Write the note; where that fails, let none be there."""
    try:
        registry.write_note(worktree, NOTE, json.dumps(names))
    except OSError:
        registry.drop_note(worktree, NOTE)


def of_race(worktree: Path, names: Iterable[str], spans: Sequence[Span]) -> dict[str, Span]:
    """Of these untracked files those that a race left, each with the span in which it was made."""
    before = _before(worktree)
    if before is None or not spans:
        return {}
    known = before | copies.brought(worktree)
    found = ((name, _span_of(worktree, name, spans)) for name in names if name not in known)
    return {name: span for name, span in found if span is not None}


def _before(worktree: Path) -> set[str] | None:
    try:
        noted: object = json.loads(registry.read_note(worktree, NOTE) or "null")
    except ValueError:
        return None
    return set(map(str, noted)) if isinstance(noted, list) else None


def _span_of(worktree: Path, name: str, spans: Sequence[Span]) -> Span | None:
    if name.endswith("/"):  # a repository of its own
        return None
    try:
        changed = (worktree / name).lstat().st_ctime_ns
        folders = [(worktree / parent).lstat().st_ctime_ns for parent in _folders(name)]
    except OSError:
        return None
    # A folder that was changed later was so by somebody else: they may have moved it here, with all that it holds.
    if not all(at <= changed or _containing(at, spans) for at in folders):
        return None
    return _containing(changed, spans)


def _folders(name: str) -> list[str]:
    """The folders around a file, below the top of the worktree."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _containing(at_ns: int, spans: Iterable[Span]) -> Span | None:
    return next((span for span in spans if span.start_ns <= at_ns <= span.end_ns), None)


def move(worktree: Path, found: Mapping[str, Span]) -> list[Path]:
    """Move these files out of the worktree, each below its race's folder; returns the folders.

    ToolError where the disk does not let us: each file then lies in one of the two places, whole.
    """
    folders: dict[Path, Path] = {}
    for name, span in found.items():
        folder = folders.setdefault(span.into, _free(span.into))
        target = folder / name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.move(worktree / name, target)
        except OSError as error:
            raise ToolError(f"cannot move {worktree / name} to {target}", seen=str(error)) from error
    return list(folders.values())


def _free(folder: Path) -> Path:
    """The folder, or where an earlier `clean` has filled it, the next of that name."""
    count, free = 1, folder
    while os.path.lexists(free):
        count, free = count + 1, folder.with_name(f"{folder.name}-{count + 1}")
    return free
