"""One worktree per worker: first everything is looked at, then everything is made, all under one lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.errors import ToolError, UsageError
from wtrace.git import branches, checkout, command, copies, lock, race_files, registry
from wtrace.git.changes import changed_files
from wtrace.git.find import common_dir
from wtrace.git.worktree_plan import Plan, Step, WorktreeRequest, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.git.branches import BranchMade
    from wtrace.git.registry import Entry

__all__ = ["Prepared", "WorktreeRequest", "prepare"]


@data
class Prepared:
    """A worktree that is ready. `commit` is the full id; `dirty` names what is changed and not committed."""

    worker: str
    branch: str
    path: Path
    commit: str
    made: Literal["created", "kept"]
    branch_made: BranchMade
    notes: tuple[str, ...] = ()
    dirty: tuple[str, ...] = ()


def prepare(
    root: Path, requests: Sequence[WorktreeRequest], *, base: str | None, parent: Path
) -> list[Prepared]:
    """Give each request its worktree at `parent/WORKER`, and its branch where that is missing.

    A second call changes nothing. UsageError for what the user must settle, found before anything is made;
    ToolError when git fails. What was made before a failure stays, and the next call goes on from there.
    """
    common = common_dir(root)
    for request in requests:
        copies.check(root, request.worker, request.include)
    with lock.writing(common):  # others wait: nothing in here that can be done outside
        plan = make_plan(root, common, requests, base=base, parent=parent)
        for entry in plan.undo:
            lock.undo(root, common, entry)
        if plan.base is not None and plan.base.create:
            branches.create(root, plan.base.name, plan.base.commit)
        notes = [_carry_out(root, common, step, plan) for step in plan.steps]
        for intent in plan.settled:
            intent.file.unlink(missing_ok=True)
    commits = branches.read_refs(root).local
    return [
        _prepared(step, commits.get(step.request.branch), said)
        for step, said in zip(plan.steps, notes, strict=True)
    ]


def _prepared(step: Step, commit: str | None, notes: list[str]) -> Prepared:
    if commit is None:  # it can be from the moment on in which the lock is free again
        raise ToolError(f"the branch {step.request.branch!r} was removed as soon as its worktree was made")
    return Prepared(
        worker=step.request.worker,
        branch=step.request.branch,
        path=step.path,
        commit=commit,
        made="kept" if step.keep else "created",
        branch_made=step.source.made,
        notes=tuple(notes),
        dirty=changed_files(step.path) if step.keep else (),
    )


def _carry_out(root: Path, common: Path, step: Step, plan: Plan) -> list[str]:
    """Make what the step asks for; what there is to say about it."""
    notes = [*step.notes]
    if step.keep:
        if step.adopt:
            registry.mark(step.keep, step.request.worker)
        if step.adopt or step.keep.worker is not None:
            notes += checkout.narrow(step.path, step.request.sparse)
        return [*notes, *_fill(root, common, step)]
    notes += _add(root, common, step, exists=step.request.branch in plan.branches_after_base)
    if step.source.remote is not None:
        trouble = branches.track(root, step.request.branch, step.source.remote)
        notes += [f"it does not track {step.source.remote}: {trouble}"] if trouble else []
    return [*notes, *_fill(root, common, step)]


def _fill(root: Path, common: Path, step: Step) -> list[str]:
    """What git leaves out of a worktree, and what it does not know of. What is there already is left alone."""
    return [
        *checkout.fill_submodules(step.path, common / "modules"),
        *checkout.fetch_lfs(common, step.path),
        *copies.bring(root, step.path, step.request.include),
    ]


def _add(root: Path, common: Path, step: Step, *, exists: bool) -> list[str]:
    branch, path = step.request.branch, str(step.path)
    # --no-track: an upstream would be written to the shared config, the first thing that fails when many add at once.
    what = ("--", path, branch) if exists else ("--no-track", "-b", branch, "--", path, step.source.commit)
    lock.sweep(common, step.path.name)
    _make_parent(step.path.parent)
    with lock.making(common, step.request.worker, step.path) as fd:
        how = ("--quiet", "--no-checkout") if step.request.sparse else ("--quiet",)
        outcome = command.run(root, "worktree", "add", *how, *what, ok=None, keep_open=(fd,))
        if step.request.sparse and outcome.code == 0:
            outcome = checkout.check_out_sparse(step.path, step.request.sparse)
        entry = registry.find_linked(common, step.path)
        if entry is None or entry.branch != branch or entry.locked == lock.INITIALIZING:
            _give_up(root, common, step, entry, outcome)
        else:
            registry.mark(entry, step.request.worker)
            race_files.write_before(step.path, [])
            step.path.chmod(0o700)  # it holds what was brought along: `.env`, data
    if outcome.code:
        return [f"the worktree is complete, but its post-checkout hook failed: {command.last_line(outcome)}"]
    return []


def _give_up(root: Path, common: Path, step: Step, entry: Entry | None, outcome: command.Outcome) -> None:
    if entry is not None:
        lock.undo(root, common, entry)
    raise ToolError(
        f"git could not make the worktree {step.path} for branch {step.request.branch!r} (exit {outcome.code})",
        seen=command.last_line(outcome),
        hint="install git-lfs" if "git-lfs" in outcome.error else None,
    )


def _make_parent(parent: Path) -> None:
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder of the worktrees {parent}", seen=error.strerror) from error
