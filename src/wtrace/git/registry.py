"""What git and wtrace have noted about the worktrees of a repository (gitrepository-layout(5))."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.git import command
from wtrace.git.find import git_dir_of, pointed_to

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "wtrace"

_OPERATIONS = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or `git am`",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisect",
    "sequencer": "a sequence of picks or reverts",
}


@data
class Entry:
    """One linked worktree as git knows it; its folder may be gone. The main worktree has an `Entry` too."""

    admin: Path  # the git folder that belongs to this worktree alone
    path: Path
    branch: str | None  # None: detached
    commit: str | None  # of a detached HEAD; None while a branch is checked out, or before HEAD was written
    in_use: frozenset[str]  # branches that git gives to nobody else meanwhile: checked out, rebased, bisected
    operation: str | None  # what has begun and not ended, in words
    locked: str | None  # why, where it is locked
    worker: str | None  # for whom wtrace made it; None: the user's own

    @property
    def is_there(self) -> bool:
        """Whether the folder still is this worktree: its `.git` points back to git's note about it."""
        return not self.path.is_symlink() and pointed_to(self.path / ".git") == self.admin.resolve()

    @property
    def is_gone(self) -> bool:
        """Whether nothing at all lies where the worktree was."""
        return not os.path.lexists(self.path)


def read_main(root: Path, common: Path) -> Entry:
    """The main worktree."""
    return _entry(common, root)


def read_linked(common: Path) -> list[Entry]:
    """The linked worktrees, in the order of git's names for them."""
    found = []
    for admin in sorted((common / "worktrees").glob("*")):
        text = _read(admin / "gitdir")
        if text:  # else: killed before git wrote where the worktree is; it holds nothing yet
            found.append(_entry(admin, (admin / text).parent))
    return found


def find_linked(common: Path, path: Path) -> Entry | None:
    """The worktree whose folder is `path`, by the folder's own `.git`."""
    admin = pointed_to(path / ".git")
    if admin is None or admin.parent != (common / "worktrees").resolve() or not admin.is_dir():
        return None
    return _entry(admin, path)


def mark(entry: Entry, worker: str) -> None:
    """Note that wtrace made this worktree, in git's folder about it, so that the note goes where it goes."""
    new = entry.admin / f"{MARKER}.new"
    new.write_text(json.dumps({"worker": worker}) + "\n")
    new.replace(entry.admin / MARKER)


def moved_to(entry: Entry) -> Path | None:
    """Where a vanished worktree lies now, if somebody gave its folder another name beside the old one."""
    for dot_git in sorted(entry.path.parent.glob("*/.git")):
        if pointed_to(dot_git) == entry.admin.resolve():
            return dot_git.parent
    return None


def _entry(admin: Path, path: Path) -> Entry:
    branch, commit = _head(admin)
    return Entry(
        admin=admin,
        path=path.parent.resolve() / path.name,
        branch=branch,
        commit=commit,
        in_use=frozenset({*_in_operation(admin), *([branch] if branch else [])}),
        operation=next((words for name, words in _OPERATIONS.items() if (admin / name).exists()), None),
        locked=_read(admin / "locked"),
        worker=_worker(admin),
    )


def _head(admin: Path) -> tuple[str | None, str | None]:
    """(branch, commit) of a worktree's HEAD; one of them at most."""
    head = _read(admin / "HEAD") or ""
    if head == "ref: refs/heads/.invalid":  # the file that stands in for HEAD where refs are kept as reftable
        return asked_head(admin)
    if head.startswith("ref: refs/heads/"):
        return head.removeprefix("ref: refs/heads/"), None
    return None, (head if head and not head.startswith("ref:") else None)


def asked_head(admin: Path) -> tuple[str | None, str | None]:
    """The same as git itself says it."""
    ref = command.run(admin, f"--git-dir={admin}", "symbolic-ref", "--quiet", "HEAD", ok=(0, 1, 128)).text
    if ref:
        return ref.removeprefix("refs/heads/"), None
    outcome = command.run(
        admin, f"--git-dir={admin}", "rev-parse", "--verify", "--quiet", "HEAD", ok=(0, 1, 128)
    )
    return None, outcome.text or None


def _in_operation(admin: Path) -> set[str]:
    """The branches that a rebase or a bisect in this worktree holds, though HEAD is detached."""
    names = [_read(admin / place / "head-name") for place in ("rebase-merge", "rebase-apply")]
    names += (_read(admin / "rebase-merge" / "update-refs") or "").split("\n")
    branches = {name.removeprefix("refs/heads/") for name in names if name and name.startswith("refs/heads/")}
    bisected = _read(admin / "BISECT_START")
    return branches | ({bisected.removeprefix("refs/heads/")} if bisected else set())


def _worker(admin: Path) -> str | None:
    text = _read(admin / MARKER)
    if text is None:
        return None
    try:
        return str(json.loads(text)["worker"])
    except (ValueError, KeyError, TypeError):
        return admin.name


def _read(file: Path) -> str | None:
    """A small file's text without the last line break, or None."""
    try:
        return file.read_text(errors="surrogateescape").removesuffix("\n")
    except OSError:
        return None


SETUP = "wtrace-setup"
"""What the commands of `setup` have done: JSON, with what they `made` that was not there before."""


def read_note(worktree: Path, name: str) -> str | None:
    """The note of that name; None where there is none, or no worktree."""
    from wtrace.errors import UsageError

    try:
        return (git_dir_of(worktree) / name).read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, UsageError):
        return None


def write_note(worktree: Path, name: str, text: str) -> None:
    """Write the note, whole or not at all. OSError: the disk does not let us."""
    file = git_dir_of(worktree) / name
    new = file.with_name(f"{name}.new")
    new.write_text(text, encoding="utf-8", errors="surrogateescape")
    new.replace(file)


def drop_note(worktree: Path, name: str) -> None:
    """Remove the note, if there is one."""
    (git_dir_of(worktree) / name).unlink(missing_ok=True)


def read_setup(worktree: Path) -> dict[str, object]:
    """The note about the set-up; empty where there is none that can be read."""
    try:
        noted: object = json.loads(read_note(worktree, SETUP) or "{}")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def made_by_setup(worktree: Path) -> tuple[str, ...]:
    """Folders at the top of the worktree that its set-up made, and would make again: an environment."""
    made = read_setup(worktree).get("made")
    return tuple(map(str, made)) if isinstance(made, list) else ()
