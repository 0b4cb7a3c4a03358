"""Two commits merged without a worktree: `git merge-tree --write-tree`, which git has since 2.38."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import ToolError
from wtrace.git import command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USAGE = 129  # git's exit code for options that it does not know


@data
class Conflict:
    """Two commits that git cannot merge alone: the files that conflict, or why there is no merge at all."""

    files: tuple[str, ...]
    reason: str | None = None


def merge_tree(root: Path, ours: str, theirs: str, env: Mapping[str, str] | None = None) -> str | Conflict:
    """The tree that merging `theirs` into `ours` gives, or the conflict. ToolError when git is too old for it."""
    how = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
    outcome = command.run(root, *how, ours, theirs, ok=None, env=env)
    if outcome.code == USAGE:
        version = command.run(root, "version").text
        raise ToolError(
            "this git cannot merge without a worktree", seen=version, hint="take git 2.38 or newer"
        )
    if outcome.code not in (0, 1) or not outcome.items:  # no common history, a missing object
        return Conflict((), command.last_line(outcome))
    tree, *files = outcome.items
    return Conflict(tuple(dict.fromkeys(files))) if outcome.code else tree
