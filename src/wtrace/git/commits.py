"""What a commit says, and which files differ between two: read from the object database by GitPython.

What cannot be read, because the objects are gone or of a form that GitPython does not know, is None: whoever asks has
better things to do than to fail.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wtrace.git import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from git import Repo
    from git.objects import Commit


def subject(root: Path, commit: str) -> str | None:
    """The first line of the commit's message; it comes from outside. `commit` is a full id."""
    with _opened(root) as repo:
        found = _commit(repo, commit)
        return None if found is None else str(found.summary)


def changed_between(root: Path, old: str, new: str) -> list[str] | None:
    """The paths whose contents differ between two commits (full ids), sorted; renamed ones under both names."""
    with _opened(root) as repo:
        found = [_commit(repo, commit) for commit in (old, new)]
        files = [_files(commit) for commit in found if commit is not None]
    return None if len(files) < 2 else sorted({path for path, _ in files[0].items() ^ files[1].items()})


@contextmanager
def _opened(root: Path) -> Iterator[Repo | None]:
    try:
        from git import Repo
        from git.exc import GitError
    except ImportError:  # GitPython looks for git when it is imported
        yield None
        return
    try:
        with Repo(root) as repo:
            repo.git.update_environment(**command.restrained_environment())
            yield repo
    except GitError:
        yield None


def _commit(repo: Repo | None, commit: str) -> Commit | None:
    if repo is None or not re.fullmatch("[0-9a-f]{40}", commit):
        return None
    from git.exc import GitError, ODBError

    try:
        found = repo.commit(commit)
        _ = found.tree, found.summary  # read now: what is missing shows here
    except (ValueError, OSError, GitError, ODBError):
        return None
    return found


def _files(commit: Commit) -> dict[str, str]:
    """Path to content id and mode, of everything but folders."""
    entries = (entry for entry in commit.tree.traverse() if entry.type != "tree")  # type: ignore[union-attr]
    return {str(entry.path): f"{entry.hexsha} {entry.mode:o}" for entry in entries}  # type: ignore[union-attr]
