"""Branches: which commit a name stands for, and where a missing branch comes from. No network."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.git import command

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BranchMade = Literal["existing", "from-remote", "from-base"]


@data
class Refs:
    """The branches of a repository: `local` name to commit, `remote` (remote, name) to commit."""

    local: dict[str, str]
    remote: dict[tuple[str, str], str]

    def remotes_with(self, name: str) -> list[str]:
        """The remotes that have a branch of that name."""
        return [remote for remote, branch in self.remote if branch == name]

    def nearest(self, name: str) -> list[str]:
        """Up to three branches whose names are close to `name`, which itself is not among them."""
        import difflib

        names = {*self.local, *(branch for _, branch in self.remote)} - {name}
        return difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.7)


@data
class Source:
    """Where a branch is taken from: `commit` is where it stands or will stand; `remote` names the remote."""

    made: BranchMade
    commit: str
    remote: str | None = None


@data
class Base:
    """Where missing branches begin. `create` when the branch itself is still to be made from `source`."""

    name: str
    commit: str
    create: bool = False
    note: str | None = None


def read_refs(root: Path) -> Refs:
    """All local and remote-tracking branches, by one call of git (and a second where there are remotes)."""
    fields = "--format=%(refname) %(objectname) %(symref)"
    local: dict[str, str] = {}
    tracking: dict[str, str] = {}
    for line in command.run(root, "for-each-ref", fields, "refs/heads", "refs/remotes").text.split("\n"):
        name, commit, symref = [*line.split(" "), "", ""][:3]
        if name.startswith("refs/heads/"):
            local[name.removeprefix("refs/heads/")] = commit
        elif name and not symref:  # refs/remotes/origin/HEAD only points to another one
            tracking[name.removeprefix("refs/remotes/")] = commit
    remotes = command.run(root, "remote").text.split("\n") if tracking else []
    return Refs(local, dict(_by_remote(tracking, remotes)))


def _by_remote(tracking: dict[str, str], remotes: Iterable[str]) -> Iterable[tuple[tuple[str, str], str]]:
    for remote in remotes:
        for name, commit in tracking.items():
            if remote and name.startswith(f"{remote}/"):
                yield (remote, name.removeprefix(f"{remote}/")), commit


def find_source(root: Path, refs: Refs, name: str) -> Source | None:
    """The branch itself, or the one remote that has it; None when it is to be made from the base.

    UsageError for a name that git does not allow, and where several remotes have it.
    """
    if name in refs.local:
        return Source("existing", refs.local[name])
    remotes = refs.remotes_with(name)
    if len(remotes) > 1:
        raise UsageError(
            f"branch {name!r} exists only at several remotes",
            seen=", ".join(remotes),
            hint=f"choose one: git branch --track -- {quote(name)} {quote(f'{remotes[0]}/{name}')}",
        )
    if remotes:
        return Source("from-remote", refs.remote[remotes[0], name], remotes[0])
    check_name(root, name)
    for remote, branch in refs.remote:
        if name in (f"{remote}/{branch}", f"refs/remotes/{remote}/{branch}"):
            raise UsageError(
                f"branch {name!r} is a remote's", hint=f"write {branch!r}: wtrace finds it at the remote"
            )
    return None


def check_name(root: Path, name: str) -> None:
    """UsageError unless git allows a new branch of that name."""
    legal = not name.startswith("-") and name not in ("", "HEAD", "@") and not name.startswith("refs/")
    if not legal or command.run(root, "check-ref-format", f"refs/heads/{name}", ok=(0, 1)).code:
        raise UsageError(
            f"{name!r} cannot be the name of a branch",
            hint="git check-ref-format(1) says which names are allowed",
        )


def check_no_clash(refs: Refs, new: Iterable[str]) -> None:
    """UsageError when a new branch cannot stand beside another one (`a` beside `a/b`: git keeps them as files)."""
    wanted = list(new)
    taken = {*refs.local, *wanted}
    for name in wanted:
        for other in taken:
            if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
                raise UsageError(
                    f"branch {name!r} cannot be made beside {other!r}",
                    hint="git cannot hold a branch and a folder of branches of one name: rename one of them",
                )


def find_base(root: Path, refs: Refs, name: str | None) -> Base:
    """What `base` stands for: a branch, one remote's branch, a commit; else a branch to be made from HEAD.

    None is HEAD. UsageError for what can only be meant as a commit and is none, and without a commit to begin at.
    """
    if name is None:
        return Base("HEAD", _head(root))
    if name in refs.local:
        return Base(name, refs.local[name])
    if name.startswith("-"):
        check_name(root, name)
    if refs.remotes_with(name):
        source = find_source(root, refs, name)
        assert source is not None
        return Base(
            name, source.commit, create=True, note=f"branch {name!r} (the base) made from {source.remote}'s"
        )
    commit = commit_of(root, name)
    if commit is not None:
        return Base(name, commit)
    near = f"the nearest branches: {', '.join(refs.nearest(name))}" if refs.nearest(name) else None
    if re.fullmatch(r"[0-9a-f]{7,64}", name) or re.search(r"[~^:]|@\{|\.\.", name):
        raise UsageError(f"base {name!r} is no commit of this repository", hint=near)
    check_name(root, name)
    head = _head(root)
    note = f"branch {name!r} (the base) was missing: made from HEAD ({head[:12]})"
    return Base(name, head, create=True, note=f"{note}; {near}" if near else note)


def create(root: Path, name: str, commit: str) -> None:
    """Make a branch at a commit; ToolError when it exists by now (the empty old value says: only if new)."""
    message = "wtrace: made by setup"
    command.run(root, "update-ref", "--create-reflog", "-m", message, f"refs/heads/{name}", commit, "")


def track(root: Path, name: str, remote: str) -> str | None:
    """Let a branch follow that of its remote, as `git switch` does; what git said when it would not, else None."""
    upstream = f"--set-upstream-to=refs/remotes/{remote}/{name}"
    outcome = command.run(root, "branch", upstream, "--", name, ok=None)
    return command.last_line(outcome) if outcome.code else None


def commit_of(root: Path, revision: str) -> str | None:
    """The full id of the commit that `revision` names, or None."""
    wanted = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return command.run(root, *wanted, ok=(0, 1, 128)).text or None


def branch_commit(root: Path, branch: str) -> str | None:
    """The full id of a local branch's commit, or None when there is no such branch."""
    # Not rev-parse, to which `main~1` would be an answer.
    return (
        command.run(root, "show-ref", "--verify", "--hash", "--", f"refs/heads/{branch}", ok=(0, 1, 128)).text
        or None
    )


def head_commit(path: Path) -> str:
    """The full id of the commit that is checked out in this worktree; UsageError when there is none yet."""
    return _head(path)


def _head(path: Path) -> str:
    commit = commit_of(path, "HEAD")
    if commit is None:
        command.run(
            path, "rev-parse", "--git-dir"
        )  # tells a folder that is no worktree from one without a commit
        raise UsageError(
            f"HEAD of {path} has no commit yet", hint="make a commit, or switch to a branch that has one"
        )
    return commit
