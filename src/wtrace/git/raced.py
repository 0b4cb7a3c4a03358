"""What a race has left in the history, found by the trailers of its commits; and where its results may lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.git import command
from wtrace.git.refs import occupied

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RACE, RESULTS = "Wtrace-Race", "Wtrace-Results"
"""Trailers: the race's id, and the folder of its results."""


@data
class RaceCommit:
    """A commit that this race made: a merge, or (with one parent) the results."""

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
