"""What a fresh worktree holds: sparse checkouts, the files that Git LFS keeps, submodules."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from wtrace.files import open_regular
from wtrace.git import command
from wtrace.git.lock import name_some

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def fetch_lfs(common: Path, worktree: Path) -> list[str]:
    """Replace pointers by what they point to, without a network where it is there already; what is missing, in words."""
    if not is_lfs_used(common, worktree) or not (pointers := _pointers(worktree)):
        return []
    if not is_lfs_installed():
        return [f"{name_some(pointers)}: only pointers; install git-lfs, then `wtrace setup`"]
    outcome = command.run(worktree, "lfs", "pull", ok=None)  # asks nobody for what this repository has
    left = _pointers(worktree)
    why = command.last_line(outcome)
    return [f"{name_some(left)}: only pointers; Git LFS could not fetch them ({why})"] if left else []


def is_lfs_installed() -> bool:
    """Whether git finds the command. Not by running it: an alias of the repository's could stand in for it."""
    return shutil.which("git-lfs") is not None


def is_lfs_used(common: Path, worktree: Path) -> bool:
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
        with open(open_regular(file), "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
            return opened.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False


def check_out_sparse(worktree: Path, folders: Sequence[str]) -> command.Outcome:
    """Check out these folders alone in a worktree that was added without any file."""
    outcome = _set(worktree, folders)
    return outcome if outcome.code else command.run(worktree, "checkout", "--quiet", "HEAD", "--", ok=None)


def narrow(worktree: Path, folders: Sequence[str]) -> list[str]:
    """Change the folders of a worktree that was made before; git keeps files with changes. What went wrong, in words."""
    if not folders or _sparse_folders(worktree) == sorted(folder.strip("/") for folder in folders):
        return []
    outcome = _set(worktree, folders)
    return [f"its folders could not be changed: {command.last_line(outcome)}"] if outcome.code else []


def _set(worktree: Path, folders: Sequence[str]) -> command.Outcome:
    return command.run(worktree, "sparse-checkout", "set", "--cone", "--end-of-options", *folders, ok=None)


def _sparse_folders(worktree: Path) -> list[str]:
    listed = command.run(worktree, "sparse-checkout", "list", ok=None)
    return sorted(listed.text.split("\n")) if listed.code == 0 else []


DEEPEST = 8  # submodules within submodules


def fill_submodules(worktree: Path, known: Path, depth: int = 0) -> list[str]:
    """Fill the submodules that are empty; those that are there are left alone. What could not be filled, in words.

    `known` is the folder in which the main worktree keeps the repositories of the same submodules, if it has any.
    """
    if depth > DEEPEST or not (worktree / ".gitmodules").is_file():
        return []
    trouble = []
    for name, path in _listed_submodules(worktree):
        source = _repository(known, name)
        if not (worktree / path / ".git").exists():
            problem = _fill_one(worktree, name, path, source)
            if problem is not None:
                trouble.append(f"submodule {path} could not be filled: {problem}")
                continue
        trouble += fill_submodules(worktree / path, (source or known / "none") / "modules", depth + 1)
    return trouble


def _listed_submodules(worktree: Path) -> Iterator[tuple[str, str]]:
    """The submodules that the commit has, by name and path."""
    asked = ("config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    names = {}
    for item in command.run(worktree, *asked, ok=(0, 1, 128)).items:
        key, _, path = item.partition("\n")
        name = key.removeprefix("submodule.").removesuffix(".path")
        names[path] = (
            name if path not in names else ""
        )  # of two names for one path git takes one: ask it alone
    for line in command.run(worktree, "ls-files", "--stage", "-z").items:
        path = line.partition("\t")[2]
        if line.startswith("160000 ") and path in names:
            yield names[path], path


def _repository(known: Path, name: str) -> Path | None:
    """The main worktree's repository of a submodule; a name is data from outside and may not lead elsewhere."""
    found = known / name
    inside = (
        bool(name) and found.resolve().is_relative_to(known.resolve()) and found.resolve() != known.resolve()
    )
    return found if inside and (found / "HEAD").is_file() else None


def _fill_one(worktree: Path, name: str, path: str, source: Path | None) -> str | None:
    if source is not None and _fill_from(worktree, name, path, source):
        return None
    outcome = _update(worktree, path, {})
    return None if outcome.code == 0 else command.last_line(outcome)


def _fill_from(worktree: Path, name: str, path: str, source: Path) -> bool:
    """Clone from the main worktree's repository, without a network; then name the real origin again."""
    settings = {f"submodule.{name}.url": str(source), "protocol.file.allow": "always"}
    outcome = _update(worktree, path, settings)
    made = worktree / path
    if not (made / ".git").exists():
        return False
    url = command.run(source, f"--git-dir={source}", "config", "remote.origin.url", ok=(0, 1)).text
    if url:
        command.run(made, "remote", "set-url", "origin", url, ok=None)
    branches = "+refs/remotes/origin/*:refs/remotes/origin/*"
    command.run(made, "fetch", "--quiet", "--no-recurse-submodules", str(source), branches, ok=None)
    return outcome.code == 0


def _update(worktree: Path, path: str, settings: Mapping[str, str]) -> command.Outcome:
    env = {"GIT_LITERAL_PATHSPECS": "1", "GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for n, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
    return command.run(worktree, "submodule", "--quiet", "update", "--init", "--", path, env=env, ok=None)
