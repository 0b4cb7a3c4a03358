"""What changed: a worktree's work that would be lost with it, files between commits, a patch."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import UsageError
from wtrace.git import command, copies, registry
from wtrace.git.branches import commit_of, head_commit
from wtrace.git.find import common_of, git_dir_of
from wtrace.git.lock import name_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from wtrace.git.registry import Entry

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


def changed_files(path: Path, *, untracked_too: bool = True) -> tuple[str, ...]:
    """What differs from the commit in this worktree, staged or not, untracked files included unless asked otherwise.

    Not: caches, ignored files, an environment that the set-up made, and what was brought along and was not touched.
    """
    changed = [(item[:2], item[3:]) for item in command.run(path, *STATUS).items]
    names = [name for state, name in changed if state == "??" and untracked_too]
    untracked = own_untracked(path, names)
    return tuple(sorted([*untracked, *(name for state, name in changed if state != "??")]))


def own_untracked(path: Path, names: list[str]) -> list[str]:
    """Of untracked files of a worktree those that somebody made there, and that nothing makes again."""
    brought, made = copies.unchanged(path, names), registry.made_by_setup(path)
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


_OBJECT = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")

_UNTRACKED = ("??", "!!")

# A cache that missed a change must not make us believe that there was none.
_LOOK_YOURSELF = ("-c", "core.untrackedCache=false")


def own_files(path: Path) -> list[str]:
    """What lies untracked in a worktree, ignored or not, and neither was brought along nor is made again by a tool."""
    return own_untracked(path, [item[3:] for item in _status(path) if item[:2] in _UNTRACKED])


def in_folder(path: Path, *, but_for: Collection[str] = ()) -> tuple[str, ...]:
    """Work in the files of a worktree, its submodules included: changed, staged, untracked, ignored.

    `but_for` are untracked files that are somebody else's.
    """
    found: dict[str, list[str]] = {}
    status = [(item[:2], item[3:]) for item in _status(path)]
    own = set(own_untracked(path, [name for state, name in status if state in _UNTRACKED])) - set(but_for)
    for state, name in status:
        if state not in _UNTRACKED or name in own:
            for kind in _kinds(state):
                found.setdefault(kind, []).append(name)
    if hidden := _hidden_changes(path):
        found["modified, though hidden from git"] = hidden
    reasons = [f"{kind}: {name_some(names)}" for kind, names in found.items()]
    for submodule in submodules(path):
        if (path / submodule / ".git").exists():
            reasons += [f"submodule {submodule}: {reason}" for reason in in_folder(path / submodule)]
            if (path / submodule / ".git").is_dir() and _own_commits(path / submodule / ".git"):
                reasons.append(f"submodule {submodule}: commits that no remote has")
    return tuple(reasons)


def regenerated(path: Path) -> list[str]:
    """What may go with a worktree: its untracked caches, what was brought along and not touched, what set-up made."""
    names = [item[3:] for item in _status(path) if item[:2] in _UNTRACKED]
    own = set(own_untracked(path, names))
    return [name for name in names if name not in own]


def _status(path: Path) -> list[str]:
    return command.run(path, *_LOOK_YOURSELF, *STATUS, "--ignored=traditional").items


def submodules(path: Path) -> list[str]:
    """The submodules that a worktree's index names, whether they are filled or not."""
    lines = command.run(path, "ls-files", "--stage", "-z").items
    return [line.partition("\t")[2] for line in lines if line.startswith("160000 ")]


def in_admin(root: Path, common: Path, entry: Entry) -> tuple[str, ...]:
    """Work that lies in git's folder about a worktree, whether the worktree's own folder is there or not."""
    reasons = []
    if entry.locked is not None:
        reasons.append(f"locked: {entry.locked}" if entry.locked else "locked")
    if entry.operation:
        reasons.append(f"{entry.operation} is in progress")
    if lost := _only_here(root, common, entry):
        reasons.append(
            f"commits that no branch or tag reaches: {name_some([commit[:12] for commit in lost], 3)}"
        )
    if entry.is_gone and (staged := _staged(entry)):
        reasons.append(f"staged: {name_some(staged)}")
    for repository in sorted(head.parent for head in (entry.admin / "modules").rglob("HEAD")):
        if (repository / "objects").is_dir() and _own_commits(repository):
            name = repository.relative_to(entry.admin / "modules")
            reasons.append(f"submodule {name}: commits that no remote has")
    return tuple(reasons)


def _kinds(state: str) -> Iterable[str]:
    if state in ("??", "!!"):
        return ("untracked",) if state == "??" else ("ignored by git, but yours",)
    return [kind for kind, letter in (("staged", state[0]), ("modified", state[1])) if letter != " "]


def _hidden_changes(path: Path) -> list[str]:
    """Changed files that `git update-index --assume-unchanged` or `--skip-worktree` keeps out of the status."""
    tags = [(item[0], item[2:]) for item in command.run(path, "ls-files", "-v", "-z").items]
    hidden = [name for tag, name in tags if (tag.islower() or tag == "S") and (path / name).is_file()]
    return [name for name in hidden if not _is_as_in_index(path, name)]


def _is_as_in_index(path: Path, name: str) -> bool:
    if (path / name).is_symlink():
        return False
    literal = {"GIT_LITERAL_PATHSPECS": "1"}
    noted = command.run(path, "ls-files", "--stage", "-z", "--", name, env=literal).items
    now = command.run(path, "hash-object", "--", name).text
    return [line.split(" ")[1] for line in noted] == [now]


def _only_here(root: Path, common: Path, entry: Entry) -> list[str]:
    """Commits that only this worktree's HEAD, its history of HEAD or its own refs lead to, newest first."""
    own = f"--git-dir={entry.admin}"
    history = command.run(
        entry.admin, own, "rev-list", "--walk-reflogs", "HEAD", "--", ok=(0, 128)
    ).text.split()
    own_refs = ("refs/worktree", "refs/bisect", "refs/rewritten")
    refs = command.run(entry.admin, own, "for-each-ref", "--format=%(objectname)", *own_refs).text.split()
    # The file too: once the branch is deleted, git no longer shows the history of a HEAD that points to it.
    starts = {
        *history,
        *refs,
        *_objects([entry.admin / "logs" / "HEAD"]),
        *([entry.commit] if entry.commit else []),
    }
    if not starts:
        return []
    # Asked from the main worktree, where `refs/*` leaves out what belongs to a linked one.
    ask = ("rev-list", "--ignore-missing", *sorted(starts), "--not", "--glob=*")
    unreached = command.run(root, *ask).text.split()
    if not unreached:
        return []
    # The histories of the branches stay when the worktree goes: what was amended there can still be found.
    stays = _objects([common / "logs" / "HEAD", *(common / "logs" / "refs").rglob("*")]) & set(unreached)
    return command.run(root, *ask, *sorted(stays)).text.split()


def _objects(files: Iterable[Path]) -> set[str]:
    """The commits in the histories of refs, as git's files about them name them (old, new, …)."""
    found: set[str] = set()
    for file in files:
        if file.is_file():
            for line in file.read_text(errors="replace").splitlines():
                found.update(_OBJECT.findall(line.partition("\t")[0]))
    return {name for name in found if name.strip("0")}


def _staged(entry: Entry) -> list[str]:
    if not (entry.admin / "index").exists():
        return []
    here = (f"--git-dir={entry.admin}", "diff-index", "--cached", "--name-only", "-z", "HEAD")
    return command.run(entry.admin, *here).items


def _own_commits(git_dir: Path) -> bool:
    here = (f"--git-dir={git_dir}", "rev-list", "-n", "1", "--all", "--not", "--remotes")
    return bool(command.run(git_dir, *here).out)
