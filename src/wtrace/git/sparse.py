"""Worktrees in which only some folders are checked out (git's cone mode: these, and the files at the root)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.git import command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def check_out(worktree: Path, folders: Sequence[str]) -> command.Outcome:
    """Check out these folders alone in a worktree that was added without any file."""
    outcome = _set(worktree, folders)
    return outcome if outcome.code else command.run(worktree, "checkout", "--quiet", "HEAD", "--", ok=None)


def narrow(worktree: Path, folders: Sequence[str]) -> list[str]:
    """Change the folders of a worktree that was made before; git keeps files with changes. What went wrong, in words."""
    if not folders or _listed(worktree) == sorted(folder.strip("/") for folder in folders):
        return []
    outcome = _set(worktree, folders)
    return [f"its folders could not be changed: {command.last_line(outcome)}"] if outcome.code else []


def _set(worktree: Path, folders: Sequence[str]) -> command.Outcome:
    return command.run(worktree, "sparse-checkout", "set", "--cone", "--end-of-options", *folders, ok=None)


def _listed(worktree: Path) -> list[str]:
    listed = command.run(worktree, "sparse-checkout", "list", ok=None)
    return sorted(listed.text.split("\n")) if listed.code == 0 else []
