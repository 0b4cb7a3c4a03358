"""What `prepare` will do. Everything that can be wrong is found here, while nothing has been touched."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.git import branches, changes, lock, registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wtrace.config.spec import IncludeSpec
    from wtrace.git.branches import Base, Refs, Source
    from wtrace.git.lock import Intent
    from wtrace.git.registry import Entry


@data
class WorktreeRequest:
    """A worker and the branch that it trains; what to bring along, and which folders alone to check out."""

    worker: str
    branch: str
    include: tuple[IncludeSpec, ...] = ()
    sparse: tuple[str, ...] = ()


@data
class Step:
    """What to do for one request: keep the worktree that is there (and mark it as ours: `adopt`), or add one."""

    request: WorktreeRequest
    path: Path
    source: Source
    keep: Entry | None = None
    adopt: bool = False
    notes: tuple[str, ...] = ()


@data
class Plan:
    """All steps; before them, half-made worktrees to `undo` and a `base` to create; after them, notes to drop."""

    steps: tuple[Step, ...]
    base: Base | None
    undo: tuple[Entry, ...]
    settled: tuple[Intent, ...]
    branches_after_base: frozenset[str]


@dataclass(slots=True)
class _Scene:
    """What was found, and what has been decided so far."""

    root: Path
    common: Path
    refs: Refs
    main: Entry
    linked: list[Entry]
    intents: dict[str, Intent]
    undo: list[Entry] = field(default_factory=list)
    settled: list[Intent] = field(default_factory=list)


def make_plan(
    root: Path, common: Path, requests: Sequence[WorktreeRequest], *, base: str | None, parent: Path
) -> Plan:
    """Look at everything and decide; UsageError for the first thing that the user must settle."""
    _check_requests(requests)
    parent = parent.resolve()
    _check_parent(parent)
    intents = lock.left_over(common)
    for intent in intents.values():
        lock.wait_for_maker(intent)
    scene = _Scene(
        root=root,
        common=common,
        refs=branches.read_refs(root),
        main=registry.read_main(root, common),
        linked=registry.read_linked(common),
        intents=intents,
    )
    sources = [branches.find_source(root, scene.refs, request.branch) for request in requests]
    begin = branches.find_base(root, scene.refs, base) if base is not None or None in sources else None
    steps = [
        _step(scene, request, source, begin, parent / request.worker)
        for request, source in zip(requests, sources, strict=True)
    ]
    new = {step.request.branch for step in steps if step.source.made != "existing"}
    made_first = {begin.name} if begin is not None and begin.create else set()
    branches.check_no_clash(scene.refs, new | made_first)
    if steps and begin is not None and begin.note:
        steps[0] = _with_note(steps[0], begin.note)
    return Plan(
        tuple(steps),
        begin,
        tuple(scene.undo),
        tuple(scene.settled),
        frozenset({*scene.refs.local, *made_first}),
    )


def _with_note(step: Step, note: str) -> Step:
    return Step(step.request, step.path, step.source, step.keep, step.adopt, (note, *step.notes))


def _check_requests(requests: Sequence[WorktreeRequest]) -> None:
    for request in requests:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", request.worker) or request.worker.lower() in (
            ".",
            "..",
            ".git",
        ):
            raise UsageError(
                f"worker {request.worker!r} cannot name a folder",
                hint="use letters, digits, '.', '_' and '-'",
            )
    for what, names in (("worker", [r.worker for r in requests]), ("branch", [r.branch for r in requests])):
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise UsageError(
                f"{what} {twice[0]!r} is named twice",
                hint="a worktree has one branch, and a branch one worktree",
            )


def _check_parent(parent: Path) -> None:
    there = next(folder for folder in (parent, *parent.parents) if os.path.lexists(folder))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(
            f"cannot make worktrees in {parent}",
            seen=f"{there} is {'not writable' if there.is_dir() else 'no folder'}",
            hint='name another folder: [race] worktrees = "…"',
        )


def _step(
    scene: _Scene, request: WorktreeRequest, source: Source | None, base: Base | None, path: Path
) -> Step:
    notes = []
    if source is None:
        assert base is not None
        source = branches.Source("from-base", base.commit)
        near = scene.refs.nearest(request.branch)
        slip = f" (if that is a slip, the nearest branches: {', '.join(near)})" if near else ""
        begin = f"{base.name} ({base.commit[:12]})"
        notes.append(f"branch {request.branch!r} made from {begin}: it has no commit of its own yet{slip}")
    elif base is not None and source.commit == base.commit and base.name not in ("HEAD", request.branch):
        notes.append(f"it has no commit of its own yet: it stands where the base {base.name!r} does")
    if base is not None and base.create and base.name == request.branch:
        notes.clear()  # the note about the base says it all
    keep, adopt = _look_at(scene, request, path, notes)
    if keep is None:
        _check_free(scene, request.branch, path)
    return Step(request, path, source, keep, adopt, tuple(notes))


def _look_at(
    scene: _Scene, request: WorktreeRequest, path: Path, notes: list[str]
) -> tuple[Entry | None, bool]:
    """The worktree that is at `path` and can be kept (and whether it must be marked), or None when one can be made."""
    for entry in [entry for entry in scene.linked if entry.path == path]:
        if not entry.is_there:
            _forget(scene, entry)
            continue
        intent = scene.intents.get(str(path)) if entry.worker is None else None
        if entry.locked == lock.INITIALIZING or (intent and not lock.is_complete(entry)):
            lock.check_undo(scene.root, scene.common, entry)
            scene.undo.append(entry)
            return None, False
        _check_kept(entry, request.branch)
        if intent:
            scene.settled.append(intent)
        elif entry.worker is None:
            notes.append("this worktree was not made by wtrace, which will never remove it")
        if entry.operation:
            notes.append(f"{entry.operation} is in progress in it")
        return entry, intent is not None
    _check_vacant(path)
    return None, False


def _check_kept(entry: Entry, branch: str) -> None:
    if entry.branch == branch:
        return
    where = f"on branch {entry.branch!r}" if entry.branch else f"detached at {(entry.commit or '?')[:12]}"
    raise UsageError(
        f"the worktree {entry.path} should be on branch {branch!r}",
        seen=f"it is {where}{f', {entry.operation} is in progress' if entry.operation else ''}",
        hint=f"finish what was begun there, then: git -C {quote(str(entry.path))} switch {quote(branch)}",
    )


def _check_vacant(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is in the way of a worktree", seen="it is no folder", hint="move it away")
    if (path / ".git").is_dir():
        raise UsageError(f"{path} is a repository of its own", hint='move it, or set [race] worktrees = "…"')
    if any(path.iterdir()):
        raise UsageError(
            f"the folder {path} is in the way of a worktree",
            seen="it is not empty, and no worktree of this repository",
            hint="move it; if it was a worktree of this repository: git worktree repair PATH",
        )


def _forget(scene: _Scene, entry: Entry) -> None:
    """Have git's note about a vanished worktree removed, if nothing is lost with it."""
    moved = registry.moved_to(entry)
    if moved is not None:
        raise UsageError(
            f"the worktree {entry.path} was moved to {moved}",
            hint=f"move it back, or tell git: git worktree repair {quote(str(moved))}",
        )
    reasons = () if entry.locked == lock.INITIALIZING else changes.in_admin(scene.root, scene.common, entry)
    if reasons:
        raise UsageError(
            f"the folder of the worktree {entry.path} is gone, but git still holds work of it",
            seen="; ".join(reasons),
            hint="bring the folder back, or drop that work: git worktree unlock PATH; git worktree prune",
        )
    scene.undo.append(entry)


def _check_free(scene: _Scene, branch: str, path: Path) -> None:
    """UsageError when another worktree has the branch; one of ours whose folder is gone is forgotten instead."""
    for entry in (scene.main, *scene.linked):
        if branch not in entry.in_use or entry in scene.undo or entry.path == path:
            continue
        if entry.worker is not None and entry.is_gone:
            _forget(scene, entry)
            continue
        doing = (
            "" if entry.branch == branch else f" ({entry.operation or 'an operation'} is in progress there)"
        )
        raise UsageError(
            f"branch {branch!r} is checked out elsewhere",
            seen=f"{entry.path}{doing}",
            hint=_how_to_free(scene, entry),
        )


def _how_to_free(scene: _Scene, entry: Entry) -> str:
    if entry is scene.main:
        return f"switch to another branch there: git -C {quote(str(entry.path))} switch -"
    if entry.worker is not None:
        return f"it was made for worker {entry.worker!r}: `wtrace clean` removes it if it holds no work"
    if entry.is_gone:
        return "that folder is gone: `git worktree prune` makes git forget it"
    return f"switch to another branch there, or: git worktree remove {quote(str(entry.path))}"
