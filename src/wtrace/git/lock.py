"""The one lock for all that writes to a repository, and notes about worktrees that are being made.

Both lie in `wtrace/` of the shared git folder. They are flocks: the kernel lets them go however a process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import ToolError, UsageError
from wtrace.git import branches, command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.git.registry import Entry


@contextmanager
def writing(common: Path) -> Iterator[None]:
    """Hold the repository's lock, waiting for it as long as need be. ToolError where it cannot be had."""
    fd = _open(common / "wtrace" / "lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:  # a network file system without locks
            raise ToolError(f"cannot lock {common / 'wtrace' / 'lock'}", seen=error.strerror) from error
        yield
    finally:
        os.close(fd)


@data
class Intent:
    """A note that a worktree was being made for `worker` at `path`; left behind only by a process that was killed."""

    file: Path
    worker: str
    path: str


@contextmanager
def making(common: Path, worker: str, path: Path) -> Iterator[int]:
    """Note that a worktree is being made; gives a descriptor for git to inherit, so that the note outlives us.

    The note goes away when the block ends without an exception.
    """
    file = common / "wtrace" / "making" / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    # A fresh file each time: a daemon that an earlier git started may hold the lock of the old one for ever.
    file.unlink(missing_ok=True)
    fd = _open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, json.dumps({"worker": worker, "path": str(path)}).encode())
        yield fd
        file.unlink(missing_ok=True)
    finally:
        os.close(fd)


def left_over(common: Path) -> dict[str, Intent]:
    """The notes of worktrees whose making was cut off, by path."""
    found = {}
    for file in (common / "wtrace" / "making").glob("*"):
        try:
            note = json.loads(file.read_text())
            found[str(note["path"])] = Intent(file, str(note["worker"]), str(note["path"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # killed before it was written: nothing had begun
    return found


def wait_for_maker(intent: Intent, *, at_most_s: float = 30.0) -> None:
    """Wait until the git that was making this worktree has ended; UsageError when it works on for too long."""
    fd = _open(intent.file, os.O_RDWR)
    deadline = time.monotonic() + at_most_s
    try:
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                raise UsageError(
                    f"git is still making the worktree {intent.path}",
                    hint="wait until it is done (a large checkout, or a hook that has not ended), then try again",
                )
            time.sleep(0.02)
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(file: Path, flags: int) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, flags, 0o600)
    except OSError as error:
        raise ToolError(f"cannot write to {file.parent}", seen=error.strerror) from error


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
