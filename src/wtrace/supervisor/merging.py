"""The winner merged with the proof of its victory: what the record, the results and git have to do with it."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.errors import UsageError, WtraceError
from wtrace.git.commit import Message, goes_to_lfs
from wtrace.git.merge import MergeRequest, merge
from wtrace.publish.view import FIRST_NOT_BEST, confirmation, winner_of
from wtrace.store.reader import Reader
from wtrace.supervisor.checkpoints.whole import Wholeness
from wtrace.supervisor.exhibits import LARGEST_BYTES, Exhibits, collect
from wtrace.supervisor.publishing.redacting import redaction_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from wtrace.git.merge import Merged
    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.claims import Claim
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout
    from wtrace.race.status import Standing, WorkerStanding

log = logging.getLogger("wtrace")


def merge_winner(
    race: RaceContext,
    layout: Layout,
    standing: Standing,
    claims: tuple[Claim, ...],
    *,
    limit_bytes: int = LARGEST_BYTES,
    busy: Collection[Path] = (),
) -> Merged:
    """Commit the results on the commit that won, and merge that into the race's base; `Merged` says what became of it.

    UsageError when nobody has won or git knows no author; ToolError when git fails. `busy` are worktrees where a
    race runs.
    """
    winner = winner_of(standing)
    if winner is None:
        raise UsageError(f"race {standing.id} has no winner to merge")
    root = layout.root
    with tempfile.TemporaryDirectory(prefix="wtrace-") as desk:
        exhibits = collect(
            race.layout,
            standing,
            claims,
            Path(desk),
            redaction_for(race),
            limit_bytes=limit_bytes,
            doubt=Wholeness(race, layout).doubt_of,
            without_limit=lambda name: goes_to_lfs(root, winner.commit, f"results/{race.spec.name}/{name}"),
        )
        request = MergeRequest(
            race_id=race.id,
            race_name=race.spec.name,
            branch=winner.branch,
            commit=winner.commit,
            base=race.spec.base,
            message=_message(standing, winner, _winning_criteria(layout, standing), exhibits),
            files=exhibits.files,
        )
        merged = merge(root, request, busy=busy)
    return replace(merged, notes=(*merged.notes, *_notes(race, winner, exhibits, merged)))


def merge_at_the_end(
    race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]
) -> Merged | None:
    """As `merge_winner`, for the end of a race: a failure never changes the verdict; it is logged, and None returned."""
    try:
        merged = merge_winner(race, layout, standing, claims)
    except (WtraceError, OSError, sqlite3.Error) as error:
        log.error("the winner was not merged: %s; `wtrace merge --race %s` tries again", error, race.id)
        return None
    for line in told(merged):
        log.info("%s", line)
    return merged


def told(merged: Merged) -> tuple[str, ...]:
    """What became of a merge, in lines for a person; they may hold names from outside, as they are."""
    lines = [_outcome(merged)]
    if merged.reason:
        lines.append(f"{merged.base or 'the base'} was left as it is: {merged.reason}")
    lines += [f"in conflict: {file}" for file in merged.conflicts]
    if merged.folder:
        lines.append(f"its results are in {merged.folder}/ of that commit")
    lines += [f"to finish: {line}" for line in merged.finish]
    return (*lines, *merged.notes)


def _outcome(merged: Merged) -> str:
    commit = merged.commit[:12]
    match merged.outcome:
        case "merged":
            return f"merged into {merged.base}: {commit}"
        case "merged before":
            return f"nothing to do: {merged.base} has this race's winner since {commit}"
        case _:
            return f"kept at {merged.ref}: {commit}"


def _message(
    standing: Standing, winner: WorkerStanding, results: tuple[CriterionStanding, ...], exhibits: Exhibits
) -> Message:
    body = (
        f"{winner.name} met every criterion at epoch {standing.winner_epoch}, {confirmation(standing)}.\n"
        f"{FIRST_NOT_BEST}"
    )
    criteria = tuple(
        ("Wtrace-Criteria", f"{each.name}: {each.value!r} {each.op} {each.threshold!r}") for each in results
    )
    return Message(
        f"Merge {winner.branch}, the winner of race {standing.name}",
        body,
        (
            ("Wtrace-Race", standing.id),
            ("Wtrace-Winner", winner.name),
            *criteria,
            ("Wtrace-Evidence", f"sha256:{exhibits.digest}"),
        ),
    )


def _winning_criteria(layout: Layout, standing: Standing) -> tuple[CriterionStanding, ...]:
    """The criteria at the winning check, with the thresholds that were applied."""
    with Reader(layout.database) as reader:
        for check in reader.checks(standing.id, judged_only=True):
            if (check.worker, check.epoch) == (standing.winner, standing.winner_epoch):
                return check.results
    return ()


def _notes(race: RaceContext, winner: WorkerStanding, exhibits: Exhibits, merged: Merged) -> list[str]:
    notes = []
    if merged.outcome != "merged before":
        notes += [f"left out of the commit: {line}" for line in exhibits.left_out]
    patch = race.layout.worker(winner.name) / "uncommitted.patch"
    if patch.exists():  # not committed for them: it may hold what was never meant to be
        notes.append(f"not part of the merge: changes that were raced without being committed, in {patch}")
    return notes
