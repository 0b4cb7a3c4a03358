"""Moving branches: by compare-and-swap, and never under a worktree in which something would be lost by that.

A worktree that wtrace made moves along with its branch; one of the user's does where it was asked for, as `git merge`
in it would.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.git import command, registry
from wtrace.git.branches import branch_commit
from wtrace.git.changes import changed_files
from wtrace.git.lock import name_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from wtrace.git.registry import Entry


class MovedMeanwhile(Exception):  # noqa: N818 (not an error: somebody else was quicker)
    """The branch is not where it was when the move was planned."""


@data
class Held:
    """Why a branch stays where it is, and the worktree (if any) that holds it and could be told to move it."""

    reason: str
    path: Path | None = None
    once: str | None = None  # what ends that, where it is in somebody's hand


@data
class Move:
    """A branch and the commit that it is to be moved to, from exactly the one where it stands."""

    branch: str
    old: str
    new: str
    why: str  # for the reflog


def holder(root: Path, common: Path, branch: str) -> Path | None:
    """The first worktree that has the branch checked out (or rebases or bisects it), or None."""
    return next((entry.path for entry in _holders(root, common, branch)), None)


def own_name(root: Path, branch: str) -> str:
    """The branch that a branch stands for: itself, unless it is a symbolic ref to another one."""
    return _aliases(root).get(branch, branch)


def move(
    root: Path,
    common: Path,
    step: Move,
    *,
    busy: Collection[Path] = (),
    only_if_clean: bool = True,
    users_too: bool = False,
) -> Held | None:
    """Move the branch, and the worktree of wtrace's that has it; None when that is done, else why not.

    `busy` are worktrees where a race runs. Without `only_if_clean` other changes in wtrace's worktree are no
    hindrance, and stay as they are. With `users_too` a worktree of the user's moves along as well, if no file that git
    tracks is changed in it. Raises MovedMeanwhile when the branch does not stand at `step.old`.
    """
    holders = _holders(root, common, step.branch)
    if not holders:
        return _swap(root, step)
    entry = holders[0]
    if entry.is_gone:
        return Held(
            f"it is checked out in {entry.path}, which is gone: `git worktree prune` makes git forget it"
        )
    if len(holders) > 1 or (entry.worker is None and not users_too):
        return Held(f"it is checked out in {entry.path}{_doing(entry, step.branch)}", entry.path)
    if any(entry.path == each.resolve() for each in busy):
        return Held(f"a race runs in its worktree {entry.path}")
    if entry.admin.resolve() != common.resolve() and not entry.is_there:
        return Held(f"something else lies where its worktree {entry.path} was")
    held = _cannot_follow(entry, step, only_if_clean=only_if_clean)
    return held or _swap_and_follow(entry.path, step)


def keep(root: Path, ref: str, commit: str) -> None:
    """Let a ref of wtrace's own lead to the commit, so that git never drops it. ToolError when git refuses."""
    command.run(root, "update-ref", "-m", "wtrace: kept", ref, commit)


def _holders(root: Path, common: Path, branch: str) -> list[Entry]:
    entries = (registry.read_main(root, common), *registry.read_linked(common))
    names = {branch, *(alias for alias, name in _aliases(root).items() if name == branch)}
    return [entry for entry in entries if names & entry.in_use]


def _aliases(root: Path) -> dict[str, str]:
    """Branches that are symbolic refs to others, and the names of these."""
    lines = command.run(root, "for-each-ref", "--format=%(refname) %(symref)", "refs/heads").text.split("\n")
    pairs = (line.partition(" ") for line in lines)
    cut = len("refs/heads/")
    return {name[cut:]: ref[cut:] for name, _, ref in pairs if ref.startswith("refs/heads/")}


def _doing(entry: Entry, branch: str) -> str:
    return "" if entry.branch == branch else f" ({entry.operation or 'an operation'} is in progress there)"


def _swap(folder: Path, step: Move) -> Held | None:
    """Compare and swap, in the folder of the worktree whose HEAD shall note it."""
    ref = f"refs/heads/{step.branch}"
    # Not followed if it is symbolic: what it stands for may be checked out.
    how = ("update-ref", "--no-deref", "-m", step.why, ref, step.new, step.old)
    outcome = command.run(folder, *how, ok=None)
    if outcome.code == 0:
        return None
    if branch_commit(folder, step.branch) != step.old:
        raise MovedMeanwhile
    return Held(
        f"git refused: {command.last_line(outcome)}"
    )  # a `reference-transaction` hook, a lock that was left


def _swap_and_follow(path: Path, step: Move) -> Held | None:
    held = _swap(path, step)
    if held is not None:
        return held
    outcome = command.run(path, *_following(step), ok=None)
    if outcome.code == 0:
        return None
    _swap(path, Move(step.branch, old=step.new, new=step.old, why="wtrace: taken back"))
    return Held(f"its worktree could not follow: {command.last_line(outcome)}", path)


def _cannot_follow(entry: Entry, step: Move, *, only_if_clean: bool) -> Held | None:
    """Why the worktree must stay as it is, or None."""
    if entry.branch in _aliases(entry.path):
        why = f"it is checked out in {entry.path} under another name, {entry.branch!r}"
        return Held(why, entry.path, f"{step.branch!r} is checked out there by its own name")
    if entry.operation or entry.branch != step.branch:
        why = f"{entry.operation or 'an operation'} is in progress in its worktree {entry.path}"
        return Held(why, entry.path, "that has ended")
    if reason := _work_in(entry, step, only_if_clean=only_if_clean):
        return Held(reason, entry.path, "they are committed, stashed or moved away")
    outcome = command.run(entry.path, *_following(step, "--dry-run"), ok=None)
    if outcome.code:
        return Held(f"its worktree {entry.path} cannot follow: {command.last_line(outcome)}", entry.path)
    return None


def _work_in(entry: Entry, step: Move, *, only_if_clean: bool) -> str | None:
    """What of the user's would be lost or mixed up by moving along."""
    # Files that git does not know of are what is usual, after a training too; they count where they are in the way.
    if only_if_clean and (changed := changed_files(entry.path, untracked_too=False)):
        return f"its worktree {entry.path} has changes of yours: {name_some(changed)}"
    if others := list(in_the_way(entry.path, step.old, step.new)):
        return f"its worktree {entry.path} has files of yours in the way: {name_some(others)}"
    return None


def _following(step: Move, *options: str) -> tuple[str, ...]:
    """As a checkout: files that the two commits have alike are left alone, whatever was done to them."""
    return ("read-tree", *options, "-m", "-u", step.old, step.new)


def in_the_way(tree: Path, old: str, new: str) -> Iterator[str]:
    """Files of a worktree that are not in `old`, and that moving to `new` would write over.

    Git looks after all others; but ignored files it would replace without a word.
    """
    added = command.run(
        tree, "diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A", old, new
    ).items
    return (path for path in added if occupied(tree, path))


def occupied(tree: Path, path: str) -> bool:
    """Whether something lies where a new file, or a folder on the way to it, would be."""
    file = tree / path
    if os.path.lexists(file):
        return True
    between = list(file.relative_to(tree).parents)[:-1]
    return any(
        (tree / folder).is_symlink() or ((tree / folder).exists() and not (tree / folder).is_dir())
        for folder in between
    )
