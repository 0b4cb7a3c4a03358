"""Files that Git LFS keeps: fetched where a fresh worktree has only the pointers to them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from wtrace.git import command
from wtrace.git.halfmade import name_some

if TYPE_CHECKING:
    from pathlib import Path

POINTER = b"version https://git-lfs.github.com/spec/"


def fetch(common: Path, worktree: Path) -> list[str]:
    """Replace pointers by what they point to, without a network where it is there already; what is missing, in words."""
    if not is_used(common, worktree) or not (pointers := _pointers(worktree)):
        return []
    if not is_installed():
        return [f"{name_some(pointers)}: only pointers; install git-lfs, then `wtrace setup`"]
    outcome = command.run(worktree, "lfs", "pull", ok=None)  # asks nobody for what this repository has
    left = _pointers(worktree)
    why = command.last_line(outcome)
    return [f"{name_some(left)}: only pointers; Git LFS could not fetch them ({why})"] if left else []


def is_installed() -> bool:
    """Whether git finds the command. Not by running it: an alias of the repository's could stand in for it."""
    return shutil.which("git-lfs") is not None


def is_used(common: Path, worktree: Path) -> bool:
    """Whether it may be used: a cheap question, since most repositories never heard of it."""
    try:
        return (common / "lfs").is_dir() or b"filter=lfs" in (worktree / ".gitattributes").read_bytes()
    except OSError:
        return False


def _pointers(worktree: Path) -> list[str]:
    """The files of the worktree that Git LFS keeps, and that are not there yet."""
    asked = command.run(worktree, "ls-files", "-z", "--", ":(attr:filter=lfs)", ok=(0, 128)).items
    return [name for name in asked if _begins_so(worktree / name)]


def _begins_so(file: Path) -> bool:
    try:
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:  # noqa: PTH123
            return opened.read(len(POINTER)) == POINTER
    except OSError:
        return False
