"""Files in commits, and what is changed in a worktree and not committed. Nothing here writes to the repository."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from wtrace.errors import UsageError
from wtrace.git import command, copies, notes
from wtrace.git.branches import commit_of, head_commit
from wtrace.git.find import common_of, git_dir_of

STATUS = (
    "status",
    "--porcelain=v1",
    "-z",
    "--no-renames",
    "--untracked-files=all",
    "--ignore-submodules=none",
)

_CACHES = {".pytest_cache", ".mypy_cache", ".ruff_cache"}
_CACHE_FILE = re.compile(r"(^|/)(\.DS_Store|__pycache__/[^/]+\.(pyc|pyo|nbi|nbc)(\.\d+)?|[^/]+\.(pyc|pyo))$")


def is_regenerated(path: str) -> bool:
    """Whether an untracked file is a cache that its tool writes anew: bytecode, and the caches of test and lint tools.

    So is a copy of ours that was never finished.
    """
    if path.rsplit("/", 1)[-1].startswith(copies.DRAFT):
        return True
    return bool(_CACHE_FILE.search(path)) or not _CACHES.isdisjoint(path.split("/")[:-1])


def file_at(root: Path, commit: str, path: str) -> bytes | None:
    """A file's bytes as committed (of a link: its target), or None when that commit has no such file."""
    blob = blob_id(root, commit, path)
    return None if blob is None else command.run(root, "cat-file", "blob", blob).out


def blob_id(root: Path, commit: str, path: str) -> str | None:
    """The id of a file's contents in a commit: equal ids are equal bytes. None when there is no such file.

    `path` is relative to the top of the repository; one that leaves it is no file of it. UsageError when the
    commit does not exist.
    """
    path = posixpath.normpath(path)
    if path.startswith(("/", "../")) or path in (".", ".."):
        return None
    found = commit_of(root, commit)
    if found is None:
        raise UsageError(f"{commit!r} is no commit of this repository")
    literal = {"GIT_LITERAL_PATHSPECS": "1"}
    for line in command.run(root, "ls-tree", "-z", "--full-tree", found, "--", path, env=literal).items:
        kind, _, name = line.partition("\t")
        if name == path and kind.split(" ")[1] == "blob":
            return kind.split(" ")[2]
    return None


def changed_files(path: Path) -> tuple[str, ...]:
    """What differs from the commit in this worktree, staged or not, untracked files included.

    Not: caches, ignored files, an environment that the set-up made, and what was brought along and was not touched.
    """
    changed = [(item[:2], item[3:]) for item in command.run(path, *STATUS).items]
    untracked = own_untracked(path, [name for state, name in changed if state == "??"])
    return tuple(sorted([*untracked, *(name for state, name in changed if state != "??")]))


def own_untracked(path: Path, names: list[str]) -> list[str]:
    """Of untracked files of a worktree those that somebody made there, and that nothing makes again."""
    brought, made = copies.unchanged(path, names), notes.made_by_setup(path)
    return [
        name
        for name in names
        if name not in brought and name.split("/")[0] not in made and not is_regenerated(name)
    ]


def patch(path: Path, *, untracked_limit_bytes: int = 50_000_000) -> bytes:
    """The uncommitted changes of a worktree as a patch on its commit for `git apply`, untracked files included.

    Untracked files over the limit and repositories of their own are left out and named in the lines before the first
    change. The user's index and objects stay as they are. Empty when nothing is changed.
    """
    import shutil
    import tempfile

    head = head_commit(path)
    states = [(item[:2], item[3:]) for item in command.run(path, *STATUS).items]
    untracked = own_untracked(path, [name for state, name in states if state == "??"])
    large = [
        name
        for name in untracked
        if name.endswith("/") or (path / name).lstat().st_size > untracked_limit_bytes
    ]
    git_dir = git_dir_of(path)
    with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:
        index, objects, names = (Path(folder) / name for name in ("index", "objects", "names"))
        objects.mkdir()
        names.write_bytes(b"".join(os.fsencode(name) + b"\0" for name in untracked if name not in large))
        if (git_dir / "index").exists():
            # With its time: by that git knows which files it must read, having been written as late as the index.
            shutil.copy2(git_dir / "index", index)
        env = {
            "GIT_INDEX_FILE": str(index),
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(common_of(git_dir) / "objects"),
        }
        if names.stat().st_size:
            command.run(
                path,
                "add",
                "--intent-to-add",
                f"--pathspec-from-file={names}",
                "--pathspec-file-nul",
                env=env,
            )
        changes = command.run(path, "diff", *_AS_PATCH, head, "--", env=env).out
    return b"".join(f"# left out: {name!a}\n".encode() for name in large) + changes


# Whatever the user's configuration makes of `git diff`, this is what `git apply` takes.
_AS_PATCH = (
    "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-relative",
    "--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=none", "--submodule=short",
)  # fmt: skip
