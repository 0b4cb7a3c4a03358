"""Removing worktrees that wtrace made, as long as nothing of the user's is lost with them."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import WtraceError
from wtrace.git import changes, command, lock, race_files, registry
from wtrace.git.find import common_dir
from wtrace.git.lock import name_some

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from wtrace.git.lock import Intent
    from wtrace.git.race_files import Span
    from wtrace.git.registry import Entry


@data
class Cleaned:
    """What became of one worktree; `reasons` say why it was kept, or what else there is to know."""

    worker: str
    path: Path
    removed: bool
    reasons: tuple[str, ...] = ()


def clean(
    root: Path,
    *,
    busy: Collection[Path] = (),
    spans: Mapping[Path, Sequence[Span]] | None = None,
    keep_files: bool = False,
) -> list[Cleaned]:
    """Remove every worktree that wtrace made and that holds no work; keep and name the others.

    `busy` are worktrees in use by a race that runs, `spans` when processes of races ran in which worktree. What these left
    there is moved into the race's folder, unless `keep_files` has such worktrees kept. Branches and worktrees of the
    user's own are never touched.
    """
    tidy = _Tidying(root, spans or {}, keep_files)
    common = common_dir(root)
    in_use = {path.resolve() for path in (*busy, *_here())}
    with lock.writing(common):
        intents = lock.left_over(common)
        cleaned = []
        for entry in registry.read_linked(common):
            intent = intents.get(str(entry.path))
            worker = entry.worker or (intent.worker if intent else None)
            if worker is not None:
                reasons = _try_to_remove(tidy, common, entry, in_use, intent)
                removed = not entry.admin.exists()
                cleaned.append(Cleaned(worker, entry.path, removed, reasons))
        for intent in intents.values():
            if not os.path.lexists(intent.path):
                intent.file.unlink(missing_ok=True)
        for parent in {result.path.parent for result in cleaned if result.removed}:
            with suppress(OSError):
                parent.rmdir()  # only if it is empty
    return cleaned


def _here() -> list[Path]:
    try:
        return [Path.cwd()]
    except FileNotFoundError:
        return []


@data
class _Tidying:
    """What holds for all worktrees of one call."""

    root: Path
    spans: Mapping[Path, Sequence[Span]]
    keep_files: bool


def _try_to_remove(
    tidy: _Tidying, common: Path, entry: Entry, in_use: set[Path], intent: Intent | None
) -> tuple[str, ...]:
    """Remove one worktree unless there are reasons to keep it, which are returned."""
    root = tidy.root
    moved: tuple[str, ...] = ()
    try:
        if entry.is_gone:
            return _forget(root, common, entry)
        if intent is not None:
            lock.wait_for_maker(intent, at_most_s=0)
            if not lock.is_complete(entry):
                lock.undo(root, common, entry)
                return ("it had never been finished",)
        found = _of_race(tidy, entry)
        reasons = _reasons(root, common, entry, in_use, but_for=found)
        if found and tidy.keep_files:
            reasons += (f"left by a race: {name_some(list(found))}",)
        if not reasons:
            moved = _move(root, entry, found)
            _remove(root, entry)
    except WtraceError as error:
        return (*moved, f"{error.what}: {error.seen}" if error.seen else error.what)
    return (*reasons, *moved)


def _of_race(tidy: _Tidying, entry: Entry) -> dict[str, Span]:
    """The files that a race left there."""
    spans = tidy.spans.get(entry.path, ())
    if not spans or not entry.is_there:
        return {}
    return race_files.of_race(entry.path, changes.own_files(entry.path), spans)


def _move(root: Path, entry: Entry, found: Mapping[str, Span]) -> tuple[str, ...]:
    """Move them into the race's folder, and say so."""
    if not found:
        return ()
    folders = ", ".join(os.path.relpath(folder, root) for folder in race_files.move(entry.path, found))
    many = "file" if len(found) == 1 else "files"
    return (f"{len(found)} {many} that the race left there: {folders}",)


def _reasons(
    root: Path, common: Path, entry: Entry, in_use: set[Path], *, but_for: Collection[str]
) -> tuple[str, ...]:
    if any(path == entry.path or entry.path in path.parents for path in in_use):
        return ("in use by a race, or by your shell",)
    if not entry.is_there:
        return ("something else lies in its folder now",)
    return (*changes.in_admin(root, common, entry), *changes.in_folder(entry.path, but_for=but_for))


def _forget(root: Path, common: Path, entry: Entry) -> tuple[str, ...]:
    moved = registry.moved_to(entry)
    if moved is not None:
        return (f"moved to {moved}; to tell git: git worktree repair {quote(str(moved))}",)
    reasons = changes.in_admin(root, common, entry)
    if reasons:
        return ("its folder is gone", *reasons)
    shutil.rmtree(entry.admin)
    return ("its folder was gone already",)


def _remove(root: Path, entry: Entry) -> None:
    for name in changes.regenerated(entry.path):
        (entry.path / name).unlink(missing_ok=True)
    # Without --force git looks once more for itself; but it never removes a worktree that has submodules without it.
    force = ["--force"] if changes.submodules(entry.path) else []
    command.run(root, "worktree", "remove", *force, "--", str(entry.path))
