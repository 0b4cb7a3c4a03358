"""`wtrace merge`: merge the winner."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import RaceOption, find_root, latest_standing, require_standing
from wtrace.errors import UsageError, WtraceError
from wtrace.race.paths import Layout
from wtrace.text import plain

if TYPE_CHECKING:
    from wtrace.git.merge import Merged
    from wtrace.race.status import Standing

MERGED, NOT_FINISHED = 0, 1


def merge(
    race: RaceOption = None,
    no_results: Annotated[
        bool,
        typer.Option(
            "--no-results", help="Merge the code alone; the hashes of the results are kept as a git note."
        ),
    ] = False,
) -> int:
    """Commit the race's results with its winner, and merge that into the base. A clean worktree that has it moves along.

    Where the base cannot be moved (there are changes in its worktree, or it conflicts), the commit is kept under
    refs/wtrace/ and the command that finishes is printed. Exit code 0: merged, or nothing to do; 1: kept; 2: there is
    no winner.
    """
    root = find_root()
    standing = require_standing(root, race)
    if standing.ended is None:
        raise UsageError(f"race {standing.id} has not ended", hint="`wtrace status` tells where it stands")
    if standing.winner is None:
        raise UsageError(
            f"race {standing.id} has no winner to merge",
            hint=f"its report says how close each came: {Layout(root).race(standing.id).failure_report}",
        )
    merged = merge_race(root, standing, with_results=not no_results)
    return MERGED if merged.done else NOT_FINISHED


def offer_merge(root: Path, standing: Standing) -> None:
    """At the end of `wtrace run`: ask, or say how the winner is merged, as the race's `merge` wants it.

    Never raises for a merge that fails: it is told, and the verdict stands.
    """
    from wtrace.supervisor.create import recall

    if standing.winner is None or standing.ended is None:
        return
    try:
        policy = recall(Layout(root), standing.id)[0].spec.merge
        # After "auto" this finds what the supervisor did, or why it could not be finished.
        if policy == "auto" or (policy == "ask" and _wants_merge(standing.winner)):
            merge_race(root, standing)
        elif policy == "ask":
            print(plain(f"to merge the winner: wtrace merge --race {standing.id}"))
    except (WtraceError, OSError, sqlite3.Error) as error:
        print(plain(f"the winner was not merged: {error}"), file=sys.stderr)
        hint = getattr(error, "hint", None) or f"wtrace merge --race {standing.id}"
        print(plain(f"  try: {hint}"), file=sys.stderr)


def _wants_merge(winner: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return typer.confirm(f"Merge {plain(winner)} now?", default=False)
    except (typer.Abort, KeyboardInterrupt):
        print()
        return False


def merge_race(root: Path, standing: Standing, *, with_results: bool = True) -> Merged:
    """Merge the winner of a race that has ended, and say what became of it."""
    from wtrace.git import command
    from wtrace.supervisor.create import recall
    from wtrace.supervisor.merging import merge_winner, told

    command.let_act()  # as `git merge` would: it is what the user asks for
    layout = Layout(root)
    context, state, _ = recall(layout, standing.id)
    merged = merge_winner(
        context,
        layout,
        standing,
        state.claims,
        busy=busy_worktrees(root),
        with_results=with_results,
    )
    for line in told(merged):
        print(plain(line))
    return merged


def busy_worktrees(root: Path) -> list[Path]:
    """The worktrees of a race that runs now."""
    standing = latest_standing(root)
    if standing is None or standing.ended is not None or not standing.supervisor_alive:
        return []
    return [Path(worker.worktree) for worker in standing.workers]
