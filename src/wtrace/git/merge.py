"""The winner's merge: its results committed on the commit that was raced, and that merged into the base.

Both commits are built detached. Then the base moves by compare-and-swap, and the winner's branch after it; where the
base must not move, nothing does, and a ref of wtrace's own keeps what was built.
"""

from __future__ import annotations

import tempfile
from shlex import quote
from typing import TYPE_CHECKING, Literal

from wtrace.data import data, replace
from wtrace.errors import ToolError, UsageError
from wtrace.git import branches, command, lock, refs, registry
from wtrace.git.branches import branch_commit, commit_of
from wtrace.git.commit import Message, commit_files, commit_tree
from wtrace.git.find import common_dir
from wtrace.git.refs import occupied

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

USAGE = 129  # git's exit code for options that it does not know


@data
class Conflict:
    """Two commits that git cannot merge alone: the files that conflict, or why there is no merge at all."""

    files: tuple[str, ...]
    reason: str | None = None


def merge_tree(root: Path, ours: str, theirs: str, env: Mapping[str, str] | None = None) -> str | Conflict:
    """The tree that merging `theirs` into `ours` gives, or the conflict. ToolError when git is too old for it."""
    how = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
    outcome = command.run(root, *how, ours, theirs, ok=None, env=env)
    if outcome.code == USAGE:
        version = command.run(root, "version").text
        raise ToolError(
            "this git cannot merge without a worktree", seen=version, hint="take git 2.38 or newer"
        )
    if outcome.code not in (0, 1) or not outcome.items:  # no common history, a missing object
        return Conflict((), command.last_line(outcome))
    tree, *files = outcome.items
    return Conflict(tuple(dict.fromkeys(files))) if outcome.code else tree


RACE, RESULTS = "Wtrace-Race", "Wtrace-Results"
"""Trailers: the race's id, and the folder of its results."""
NOTES = "refs/notes/wtrace"
"""Where git keeps what is said of a merge that holds no results: `git notes --ref notes/wtrace show`."""


@data
class RaceCommit:
    """A commit that this race made: a merge, or (with one parent) the results. Without a folder: what was raced."""

    commit: str
    parents: tuple[str, ...]
    folder: str


def commits_of(root: Path, race_id: str, *, since: str, until: str) -> list[RaceCommit]:
    """The race's commits among those that `until` reaches and `since` does not, newest first."""
    fields = [f"%(trailers:key={key},valueonly,separator=%x2C)" for key in (RACE, RESULTS)]
    how = ("log", "-z", "--no-show-signature", f"--format=%H%n%P%n{fields[0]}%n{fields[1]}")
    which = ("--fixed-strings", f"--grep={RACE}: {race_id}", f"^{since}", until)
    rows = [item.split("\n") for item in command.run(root, *how, *which, "--").items]
    return [
        RaceCommit(commit, tuple(parents.split()), folder)
        for commit, parents, race, folder in rows
        if race == race_id  # the words alone may stand in anybody's message
    ]


def results_among(commits: Iterable[RaceCommit], raced: str) -> RaceCommit | None:
    """The first commit of results that was made on the commit that was raced."""
    return next((each for each in commits if each.parents == (raced,) and each.folder), None)


def choose_folder(
    root: Path, race_id: str, race_name: str, *, commits: Iterable[str], worktrees: Iterable[Path]
) -> str:
    """A folder for the results that neither these commits nor the folders of these worktrees have.

    So two races are never mixed, and files of the user's are never in the way, ignored ones included.
    """
    ends, trees = [*commits], [*worktrees]
    wanted = (f"results/{race_name}", f"results/{race_id}")
    for name in wanted:
        if all(_is_free(root, end, name) for end in ends) and not any(occupied(tree, name) for tree in trees):
            return name
    return f"wtrace-results/{race_id}"


def _is_free(root: Path, commit: str, folder: str) -> bool:
    """Whether nothing lies at this path of depth two, and no file in the place of its parent."""
    parent = folder.partition("/")[0]
    found = command.run(root, "ls-tree", "-z", "--full-tree", commit, "--", parent, folder).items
    # ls-tree tells the entry of `results` itself only where it is no folder that it was asked to look into.
    kinds = {item.partition("\t")[2]: item.split(" ")[1] for item in found}
    return folder not in kinds and kinds.get(parent, "tree") == "tree"


@data
class Target:
    """The branch to be moved and its commit; `problem` says why there is no such branch."""

    branch: str | None
    commit: str | None
    problem: str | None = None


def find_target(root: Path, common: Path, base: str | None) -> Target:
    """What `base` stands for; None is the branch of the main worktree. Nothing is created."""
    if base is None:
        branch = registry.read_main(root, common).branch
        if branch is None:
            return Target(None, None, f"the race names no base, and HEAD of {root} is on no branch")
        base = branch
    name = refs.own_name(root, base)
    tip = branch_commit(root, name)
    if tip is not None:
        return Target(name, tip)
    commit = commit_of(root, base)
    if commit is not None:
        return Target(None, commit, f"the base {base!r} is no branch")
    return Target(None, None, f"there is no branch {base!r} (the base)")


TRIES = 5  # when somebody moves the base at the same moment


@data
class MergeRequest:
    """What is to be merged. `files` are results, by their path below the folder that they will get; none: the code alone."""

    race_id: str
    race_name: str
    branch: str  # the winner's
    commit: str  # that was raced
    base: str | None  # None: the branch of the main worktree
    message: Message
    files: Mapping[str, bytes | Path]
    note: bytes | None = None  # attached to the merge, under `NOTES`


@data
class Ground:
    """Where to merge: the main worktree, the git folder that all share, worktrees where a race runs."""

    root: Path
    common: Path
    busy: Collection[Path] = ()


@data
class Plan:
    """What was built, and where it would go. Nothing leads to the commits yet."""

    target: Target
    results: RaceCommit | None  # None: not found again, though the race was merged before
    merge: str | None = None
    conflict: Conflict | None = None
    before: str | None = None  # by this commit the race was merged before

    @property
    def commit(self) -> str:
        """The most that there is: the merge, else the results."""
        assert self.merge or self.before or self.results
        return self.merge or self.before or (self.results.commit if self.results else "")


@data
class Merged:
    """What became of a merge. `finish` are shell lines that do the rest, `notes` what else there is to know."""

    outcome: Literal["merged", "merged before", "kept"]
    base: str | None
    commit: str  # the merge; where there is none, the commit of the results
    results: str | None  # the commit of the results
    folder: str  # where they lie in it
    ref: str | None = None  # what keeps the commit while the base was not moved
    reason: str | None = None  # why it was not
    conflicts: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    once: str | None = None  # what must be so before these lines can do it
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether the base has it."""
        return self.outcome != "kept"


def merge(root: Path, request: MergeRequest, *, busy: Collection[Path] = ()) -> Merged:
    """Commit the results and merge them into the base; a second call finds that it is done.

    `busy` are worktrees where a race runs. Conflicts and branches that must not move are no errors: see `Merged`.
    UsageError without an identity or without the commit that was raced; ToolError when git fails.
    """
    ground = Ground(root, common_dir(root), busy)
    with lock.writing(ground.common):
        for _ in range(TRIES):
            plan = make_plan(ground, request)
            try:
                return carry_out(ground, request, plan)
            except refs.MovedMeanwhile:
                continue
        return _keep(root, request, plan, refs.Held("somebody else moves it again and again"))


def kept_ref(race_id: str) -> str:
    """The ref that keeps the merge of a race while it is not finished."""
    return f"refs/wtrace/{race_id}/merge"


def make_plan(ground: Ground, request: MergeRequest) -> Plan:
    """Build the commit of the results and the merge, as the base stands now. No ref is touched."""
    root = ground.root
    start = branches.commit_of(root, request.commit)
    if start is None:
        raise UsageError(f"the commit that was raced is not in this repository any more: {request.commit}")
    target = find_target(root, ground.common, request.base)
    if target.commit is not None:
        found = commits_of(root, request.race_id, since=start, until=target.commit)
        if found:
            merges = [each.commit for each in found if len(each.parents) > 1]
            before = (merges or [found[0].commit])[0]
            return Plan(target, results_among(found, start), before=before)
    earlier = _earlier(root, request, start)
    results = _results(ground, request, start, target, earlier)
    if target.commit is None:
        return Plan(target, results)
    parents = (target.commit, results.commit)
    for each in earlier:
        if each.parents == parents:  # kept by an earlier call, and still right
            return Plan(target, results, merge=each.commit)
    tree = merge_tree(root, *parents)
    if isinstance(tree, Conflict):
        return Plan(target, results, conflict=tree)
    message = _with_folder(request.message, results.folder)
    return Plan(target, results, merge=commit_tree(root, tree, parents, message))


def carry_out(ground: Ground, request: MergeRequest, plan: Plan) -> Merged:
    """Move the base and the winner's branch as planned, or keep what was built. Raises MovedMeanwhile."""
    target = plan.target
    if plan.before is None:
        held = refs.Held(target.problem) if target.problem else _move_base(ground, request, plan)
        if held is not None:
            return _keep(ground.root, request, plan, held)
    _drop_kept(ground.root, request.race_id, plan.target.commit if plan.before else plan.merge)
    noted = () if plan.before else _attach_note(ground.root, request, plan.commit)
    return Merged(
        outcome="merged" if plan.before is None else "merged before",
        base=target.branch,
        commit=plan.commit,
        results=plan.results.commit if plan.results else None,
        folder=plan.results.folder if plan.results else "",
        notes=(*noted, *_move_winner(ground, request, plan)),
    )


def _attach_note(root: Path, request: MergeRequest, commit: str) -> tuple[str, ...]:
    """Attach the request's note to the commit, byte by byte; what is in the way of that."""
    if request.note is None:
        return ()
    with tempfile.NamedTemporaryFile(prefix="wtrace-") as file:
        file.write(request.note)
        file.flush()
        blob = command.run(root, "hash-object", "-w", "--no-filters", "--", file.name).text
    outcome = command.run(root, "notes", f"--ref={NOTES}", "add", "--force", "-C", blob, commit, ok=None)
    return () if outcome.code == 0 else (f"no note was attached: {command.last_line(outcome)}",)


def _earlier(root: Path, request: MergeRequest, start: str) -> list[RaceCommit]:
    """What an earlier call has committed, for the winner's branch or for the ref that keeps it."""
    ends = (branches.branch_commit(root, request.branch), branches.commit_of(root, kept_ref(request.race_id)))
    return [
        each
        for end in ends
        if end is not None
        for each in commits_of(root, request.race_id, since=start, until=end)
    ]


def _results(
    ground: Ground, request: MergeRequest, start: str, target: Target, earlier: Iterable[RaceCommit]
) -> RaceCommit:
    """What is merged: the results on what was raced, made by an earlier call or now; or that commit as it is."""
    if not request.files:
        return RaceCommit(start, (), "")
    return results_among(earlier, start) or _commit_results(ground, request, start, target)


def _commit_results(ground: Ground, request: MergeRequest, start: str, target: Target) -> RaceCommit:
    root = ground.root
    ends = [start, *([target.commit] if target.commit else [])]
    trees = [root, *(entry.path for entry in registry.read_linked(ground.common))]
    folder = choose_folder(root, request.race_id, request.race_name, commits=ends, worktrees=trees)
    files = {f"{folder}/{path}": content for path, content in request.files.items()}
    message = _with_folder(replace(request.message, subject=f"Results of race {request.race_name}"), folder)
    return RaceCommit(commit_files(root, start, files, message), (start,), folder)


def _with_folder(message: Message, folder: str) -> Message:
    if not folder:
        return message
    return replace(message, trailers=(*message.trailers, (RESULTS, folder)))


def _move_base(ground: Ground, request: MergeRequest, plan: Plan) -> refs.Held | None:
    branch, old = plan.target.branch, plan.target.commit
    if plan.conflict is not None:
        why = plan.conflict.reason or "the winner and the base conflict"
        return refs.Held(why, None if branch is None else refs.holder(ground.root, ground.common, branch))
    assert branch is not None
    assert old is not None
    why = f"wtrace: merge {request.branch}, the winner of race {request.race_id}"
    step = refs.Move(branch, old, plan.commit, why)
    return refs.move(ground.root, ground.common, step, busy=ground.busy, users_too=True)


def _move_winner(ground: Ground, request: MergeRequest, plan: Plan) -> tuple[str, ...]:
    """Move the winner's branch to its results; what there is to say when it stays where it is."""
    root, common = ground.root, ground.common
    branch = refs.own_name(root, request.branch)
    if plan.results is None or not plan.results.folder or branch == plan.target.branch:
        return ()
    (start,), new = plan.results.parents, plan.results.commit
    tip = branches.branch_commit(root, branch)
    if tip is None or is_ancestor(root, new, tip):
        return () if tip else (f"branch {branch!r} is gone; its results are in the merge",)
    why = f"wtrace: results of race {request.race_id}"
    try:
        held = refs.move(root, common, refs.Move(branch, start, new, why), busy=ground.busy)
    except refs.MovedMeanwhile:
        held = refs.Held(f"it has moved on since the race, to {tip[:12]}")
    if held is None:
        return ()
    there = quote(str(held.path or refs.holder(root, common, branch) or root))
    return (
        f"branch {branch!r} does not have its results: {held.reason}",
        f"to add them: git -C {there} merge {new}",
    )


def is_ancestor(root: Path, commit: str, of: str) -> bool:
    """Whether the history of `of` has that commit."""
    return command.run(root, "merge-base", "--is-ancestor", commit, of, ok=(0, 1)).code == 0


def _drop_kept(root: Path, race_id: str, base: str | None) -> None:
    """Remove the ref of an earlier call, once the base has all that it keeps."""
    kept = branches.commit_of(root, kept_ref(race_id))
    if kept and base and is_ancestor(root, kept, base):
        command.run(root, "update-ref", "-d", kept_ref(race_id), kept, ok=None)


def _keep(root: Path, request: MergeRequest, plan: Plan, held: refs.Held) -> Merged:
    ref = kept_ref(request.race_id)
    refs.keep(root, ref, plan.commit)
    noted = _attach_note(root, request, plan.commit) if plan.merge else ()
    return Merged(
        outcome="kept",
        base=plan.target.branch or request.base,
        commit=plan.commit,
        results=plan.results.commit if plan.results else None,
        folder=plan.results.folder if plan.results else "",
        ref=ref,
        reason=held.reason,
        conflicts=plan.conflict.files if plan.conflict else (),
        finish=_way_on(root, request, plan, held),
        once=held.once,
        notes=noted,
    )


def _way_on(root: Path, request: MergeRequest, plan: Plan, held: refs.Held) -> tuple[str, ...]:
    """The shell lines that finish what was kept. They fail rather than write over somebody's changes."""
    here, ref = quote(str(held.path or root)), kept_ref(request.race_id)
    branch = plan.target.branch
    if branch is None:
        name = quote(request.base) if request.base and plan.target.commit is None else "BRANCH"
        return (f"git -C {here} branch {name} {ref}",)
    if plan.conflict is not None:
        switch = () if held.path else (f"git -C {here} switch {quote(branch)}",)
        return (*switch, f"git -C {here} merge --no-ff {ref}")
    return (f"wtrace merge --race {request.race_id}{'' if request.files else ' --no-results'}",)
