"""Whether git tracks what wtrace keeps in `.wtrace/`: then it came with the repo, and says nothing about this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.errors import UsageError
from wtrace.git import command
from wtrace.git.find import git_dir_of
from wtrace.git.index import may_hold

if TYPE_CHECKING:
    from pathlib import Path

HOME = ".wtrace"


def require_untracked(root: Path) -> None:
    """UsageError where git tracks `.wtrace`, or anything in it, in the worktree at `root`."""
    if not may_hold(str(git_dir_of(root)), HOME):
        return
    found = command.run(
        root, "ls-files", "-z", "--cached", "--", HOME, env={"GIT_LITERAL_PATHSPECS": "1"}
    ).items
    if found:
        raise UsageError(
            f"git tracks {HOME} in this repo: it came with the repo, and is not what happened on this machine",
            seen=found[0],
            hint=f"`git rm -r --cached {HOME}` and a commit, then move it away; wtrace makes its own",
        )
