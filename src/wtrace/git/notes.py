"""Notes of wtrace's own about a worktree, in git's folder about it: they go where it goes, and when it goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wtrace.git.find import git_dir_of

if TYPE_CHECKING:
    from pathlib import Path

SETUP = "wtrace-setup"
"""What the commands of `setup` have done: JSON, with what they `made` that was not there before."""


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


def read_setup(worktree: Path) -> dict[str, object]:
    """The note about the set-up; empty where there is none that can be read."""
    try:
        noted: object = json.loads(read(worktree, SETUP) or "{}")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def made_by_setup(worktree: Path) -> tuple[str, ...]:
    """Folders at the top of the worktree that its set-up made, and would make again: an environment."""
    made = read_setup(worktree).get("made")
    return tuple(map(str, made)) if isinstance(made, list) else ()
