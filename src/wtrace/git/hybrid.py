"""The branch of a hybrid: would its branches merge, and they merged into one without a worktree."""

from __future__ import annotations

import os
import re
import tempfile
from shlex import quote
from typing import TYPE_CHECKING

from wtrace.data import data, replace
from wtrace.errors import UsageError
from wtrace.git import branches, lock, refs
from wtrace.git.branches import branch_commit, commit_of
from wtrace.git.commit import Message, commit_tree
from wtrace.git.find import common_dir
from wtrace.git.merge import Conflict, find_target, is_ancestor, merge_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@data
class HybridMade:
    """The hybrid's branch stands at `commit`. `note` says what was done, or that the branch was used as it is."""

    commit: str
    created: bool  # False: the branch had commits of its own, and was used as it is
    note: str


@data
class HybridConflict:
    """The branch was left as it was: the files that conflict when `worker` is merged in, or another reason."""

    files: tuple[str, ...]
    reason: str
    worker: str | None = None
    finish: tuple[str, ...] = ()  # shell lines: how to go on by hand


def make_hybrid(
    root: Path, *, branch: str, base: str, combines: Sequence[tuple[str, str]]
) -> HybridMade | HybridConflict:
    """Merge the commits of `combines` (worker, commit), one after the other, into the hybrid's branch.

    The branch is created at the commit `base` where it is missing. One that has commits of its own is used as it is.
    UsageError without an identity, or for a name or a commit that cannot be; ToolError when git fails.
    """
    with lock.writing(common_dir(root)):
        name = refs.own_name(root, branch)
        start = _commit(root, base)
        tip = branches.branch_commit(root, name)
        if tip is None:
            known = branches.read_refs(root)
            branches.check_name(root, name)
            branches.check_no_clash(known, [name])
        elif not is_ancestor(root, tip, start):
            return HybridMade(
                tip, created=False, note=f"branch {name!r} has commits of its own: used as it is"
            )
        built = _combine(root, name, tip or start, combines)
        if isinstance(built, HybridConflict):
            return built
        return _point(root, name, tip, built, combines)


def _commit(root: Path, name: str) -> str:
    commit = branches.commit_of(root, name)
    if commit is None:
        raise UsageError(f"the commit {name} is not in this repository")
    return commit


def _combine(
    root: Path, branch: str, start: str, combines: Sequence[tuple[str, str]]
) -> str | HybridConflict:
    """The last of the merge commits, or the first conflict."""
    head = start
    for worker, named in combines:
        commit = _commit(root, named)
        if is_ancestor(root, commit, head):
            continue
        tree = merge_tree(root, head, commit)
        if isinstance(tree, Conflict):
            reason = tree.reason or f"merging {worker} into what came before it conflicts"
            return HybridConflict(tree.files, reason, worker, _by_hand(root, branch, start, combines))
        message = Message(
            f"Combine {worker} into {branch}", trailers=(("Wtrace-Combines", f"{worker} {commit}"),)
        )
        head = commit_tree(root, tree, [head, commit], message)
    return head


def _point(
    root: Path, branch: str, tip: str | None, head: str, combines: Sequence[tuple[str, str]]
) -> HybridMade | HybridConflict:
    workers = ", ".join(worker for worker, _ in combines)
    try:
        if tip is None:
            branches.create(root, branch, head)
        elif head != tip:
            held = refs.move(
                root, common_dir(root), refs.Move(branch, tip, head, f"wtrace: combine {workers}")
            )
            if held is not None:
                return HybridConflict(
                    (), held.reason, finish=_by_hand(root, branch, tip, combines, held.path)
                )
    except refs.MovedMeanwhile:
        return HybridConflict((), f"branch {branch!r} was moved by somebody else just now")
    return HybridMade(head, created=True, note=f"branch {branch!r} combines {workers}")


def _by_hand(
    root: Path, branch: str, start: str, combines: Sequence[tuple[str, str]], path: Path | None = None
) -> tuple[str, ...]:
    there = path or refs.holder(root, common_dir(root), branch)
    if there is None:
        exists = branches.branch_commit(root, branch) is not None
        switch = f"switch {quote(branch)}" if exists else f"switch -c {quote(branch)} {start}"
        lines = [f"git -C {quote(str(root))} {switch}"]
    else:
        lines = []
    here = quote(str(there or root))
    return (*lines, *(f"git -C {here} merge --no-ff {commit}  # {worker}" for worker, commit in combines))


SHOWN = 3  # files
WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@data
class Forecast:
    """What a merge of one worker into the base would meet: files that conflict, or trouble of another kind."""

    worker: str
    conflicts: tuple[str, ...] = ()
    trouble: str | None = None

    @property
    def clean(self) -> bool:
        """Whether git could merge it alone."""
        return not self.conflicts and self.trouble is None

    @property
    def words(self) -> str:
        """What a merge would meet, in one line."""
        if self.clean:
            return "would merge into the base without a conflict"
        if not self.conflicts:
            return f"could not be merged into the base: {self.trouble}"
        more = f" and {len(self.conflicts) - SHOWN} more" if len(self.conflicts) > SHOWN else ""
        return f"would conflict with the base in {', '.join(self.conflicts[:SHOWN])}{more}"


def conflict_forecast(root: Path, base: str | None, commits: Mapping[str, str]) -> tuple[Forecast, ...]:
    """One forecast per worker (its name to its branch or commit), in the given order; some 10 ms for each commit.

    `base` None is the branch of the main worktree. Not even an object is added to the repository.
    ToolError when git is older than 2.38.
    """
    common = common_dir(root)
    target = find_target(root, common, base)
    if target.commit is None:
        return tuple(Forecast(worker, trouble=target.problem) for worker in commits)
    with tempfile.TemporaryDirectory(prefix="wtrace-") as scratch:
        env = {
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.fspath(common / "objects"),
        }
        found: dict[str, Forecast] = {}
        for worker, name in commits.items():
            if name not in found:
                found[name] = _forecast(root, target.commit, worker, name, env)
        return tuple(replace(found[name], worker=worker) for worker, name in commits.items())


def _forecast(root: Path, base: str, worker: str, name: str, env: Mapping[str, str]) -> Forecast:
    # A whole id is a commit that was looked up before: asking again would triple the time.
    commit = name if WHOLE_ID.fullmatch(name) else branch_commit(root, name) or commit_of(root, name)
    if commit is None:
        return Forecast(worker, trouble=f"there is no branch {name!r}")
    merged = merge_tree(root, base, commit, env)
    if isinstance(merged, Conflict):
        return Forecast(worker, merged.files, merged.reason)
    return Forecast(worker)
