"""Worktrees whose making was cut off (a killed git, a full disk): what they hold, and taking them back."""

from __future__ import annotations

import shutil
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from wtrace.errors import ToolError, UsageError
from wtrace.git import branches, command

if TYPE_CHECKING:
    from wtrace.git.registry import Entry

INITIALIZING = "initializing"  # the reason that `git worktree add` locks with until it is done


def is_complete(entry: Entry) -> bool:
    """Whether git finished the checkout: every tracked file is there as committed (the rest does not matter)."""
    if (
        entry.locked == INITIALIZING
        or (entry.admin / "index.lock").exists()
        or not (entry.admin / "index").exists()
    ):
        return False
    status = (
        "status",
        "--porcelain",
        "-z",
        "--no-renames",
        "--untracked-files=no",
        "--ignore-submodules=all",
    )
    return not command.run(entry.path, *status).out


def foreign_files(root: Path, common: Path, entry: Entry) -> list[str]:
    """Files in a half-made worktree that the checkout did not put there, or that were changed since.

    A file that was cut off while it was being written (the beginning of what is committed) is not foreign.
    """
    if entry.is_gone:
        return []
    commit = branches.commit_of(root, f"refs/heads/{entry.branch}") if entry.branch else entry.commit
    import tempfile

    with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:

        def ask(*args: str, ok: tuple[int, ...] = (0,)) -> command.Outcome:
            env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            here = (f"--git-dir={common}", f"--work-tree={entry.path}")
            return command.run(entry.path, *here, *args, env=env, ok=ok)

        if ask("read-tree", commit or "--empty", ok=(0, 128)).code:
            return ["its branch has no commit that could be compared with"]
        others, modified, deleted = (
            set(ask("ls-files", "-z", kind).items) for kind in ("--others", "--modified", "--deleted")
        )
        changed = modified - deleted
        torn = {
            path
            for path in changed
            if _is_torn(ask("cat-file", "--filters", f"{commit}:{path}", ok=(0, 128)), entry.path / path)
        }
    return sorted(others | (changed - torn))


def _is_torn(whole: command.Outcome, file: Path) -> bool:
    return (
        file.is_file()
        and not file.is_symlink()
        and whole.code == 0
        and whole.out.startswith(file.read_bytes())
    )


def check_undo(root: Path, common: Path, entry: Entry) -> None:
    """UsageError when a half-made worktree holds anything of the user's."""
    foreign = foreign_files(root, common, entry)
    if foreign or entry.operation:
        raise UsageError(
            f"the worktree {entry.path} was never finished, yet it holds work",
            seen=entry.operation or name_some(foreign),
            hint=f"move that elsewhere, then: git worktree remove --force --force {quote(str(entry.path))}",
        )


def undo(root: Path, common: Path, entry: Entry) -> None:
    """Take a half-made worktree away; UsageError, and nothing touched, when it holds anything of the user's."""
    check_undo(root, common, entry)
    try:
        if not entry.is_gone:
            shutil.rmtree(entry.path)
        shutil.rmtree(entry.admin)
    except OSError as error:
        raise ToolError(f"cannot take away the half-made worktree {entry.path}", seen=str(error)) from error


def sweep(common: Path, name: str) -> None:
    """Remove what a git leaves that was killed before it wrote where its worktree is: an empty, locked note."""
    admin = common / "worktrees" / name
    if admin.is_dir() and {file.name for file in admin.iterdir()} <= {"locked"}:
        shutil.rmtree(admin)


def name_some(paths: list[str] | tuple[str, ...], most: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
