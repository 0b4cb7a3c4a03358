"""A commit's files as an archive, clean: nothing of the worktree's own state comes along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.git.command import run

if TYPE_CHECKING:
    from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1024  # bytes


def export_commit(worktree: Path, commit: str, file: Path) -> None:
    """Write the commit's files to a tar archive. ToolError when git fails."""
    run(worktree, "archive", "--format=tar", f"--output={file}", "--end-of-options", commit)


def size_of(worktree: Path, commit: str) -> int:
    """The size of the commit's files together, in bytes."""
    return sum(size for _, size in _sizes(worktree, commit))


def left_out(worktree: Path, commit: str) -> list[str]:
    """What an archive of the commit lacks, named: submodules, and files of which Git LFS has the content."""
    entries = run(worktree, "ls-tree", "-r", "-l", "-z", "--full-tree", commit).items
    missing: list[str] = []
    for entry in entries:
        about, path = entry.split("\t", 1)
        mode, _, blob, size = about.split()
        if mode == "160000":
            missing.append(f"the submodule {path}")
        elif size.isdigit() and int(size) <= LONGEST_POINTER and _is_pointer(worktree, path, blob):
            missing.append(f"the content of {path} (Git LFS)")
    return missing


def _is_pointer(worktree: Path, path: str, blob: str) -> bool:
    if "lfs" not in run(worktree, "check-attr", "filter", "--", path).text.rsplit(": ", 1)[-1]:
        return False
    return run(worktree, "cat-file", "blob", blob).out.startswith(LFS_POINTER)


def largest(worktree: Path, commit: str, count: int = 3) -> list[tuple[str, int]]:
    """The commit's largest files and their sizes in bytes, the largest first."""
    return sorted(_sizes(worktree, commit), key=lambda each: -each[1])[:count]


def _sizes(worktree: Path, commit: str) -> list[tuple[str, int]]:
    entries = run(worktree, "ls-tree", "-r", "-l", "-z", "--full-tree", commit).items
    sizes = [(entry.split("\t", 1)[1], entry.split("\t", 1)[0].split()[3]) for entry in entries]
    return [(path, int(size)) for path, size in sizes if size.isdigit()]
