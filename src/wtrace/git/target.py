"""Where a merge goes: the base as it stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.git import refs, registry
from wtrace.git.branches import branch_commit, commit_of

if TYPE_CHECKING:
    from pathlib import Path


@data
class Target:
    """The branch to be moved and its commit; `problem` says why there is no such branch."""

    branch: str | None
    commit: str | None
    problem: str | None = None


def find_target(root: Path, common: Path, base: str | None) -> Target:
    """What `base` stands for; None is the branch of the main worktree. Nothing is created."""
    if base is None:
        branch = registry.read_main(root, common).branch
        if branch is None:
            return Target(None, None, f"the race names no base, and HEAD of {root} is on no branch")
        base = branch
    name = refs.own_name(root, base)
    tip = branch_commit(root, name)
    if tip is not None:
        return Target(name, tip)
    commit = commit_of(root, base)
    if commit is not None:
        return Target(None, commit, f"the base {base!r} is no branch")
    return Target(None, None, f"there is no branch {base!r} (the base)")
