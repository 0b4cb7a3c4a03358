"""Notes of wtrace's own about a worktree, in git's folder about it: they go where it goes, and when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.repo.find import git_dir_of

if TYPE_CHECKING:
    from pathlib import Path


def read(worktree: Path, name: str) -> str | None:
    """The note of that name; None where there is none, or no worktree."""
    from wtrace.errors import UsageError

    try:
        return (git_dir_of(worktree) / name).read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, UsageError):
        return None


def write(worktree: Path, name: str, text: str) -> None:
    """Write the note, whole or not at all. OSError: the disk does not let us."""
    file = git_dir_of(worktree) / name
    new = file.with_name(f"{name}.new")
    new.write_text(text, encoding="utf-8", errors="surrogateescape")
    new.replace(file)
