"""Submodules of a worktree: filled from what the main worktree has of them, and only else from where they come from.

Each worktree has submodules of its own (git keeps them apart), so that what one branch does there is no other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.git import command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DEEPEST = 8  # submodules within submodules


def fill(worktree: Path, known: Path, depth: int = 0) -> list[str]:
    """Fill the submodules that are empty; those that are there are left alone. What could not be filled, in words.

    `known` is the folder in which the main worktree keeps the repositories of the same submodules, if it has any.
    """
    if depth > DEEPEST or not (worktree / ".gitmodules").is_file():
        return []
    trouble = []
    for name, path in _listed(worktree):
        source = _repository(known, name)
        if not (worktree / path / ".git").exists():
            problem = _fill_one(worktree, name, path, source)
            if problem is not None:
                trouble.append(f"submodule {path} could not be filled: {problem}")
                continue
        trouble += fill(worktree / path, (source or known / "none") / "modules", depth + 1)
    return trouble


def _listed(worktree: Path) -> Iterator[tuple[str, str]]:
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
