"""The branch of a hybrid: the branches that it combines, merged into one without a worktree."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.git import branches, lock, refs
from wtrace.git.commit import Message, commit_tree
from wtrace.git.find import common_dir
from wtrace.git.merge import is_ancestor
from wtrace.git.mergetree import Conflict, merge_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
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
