"""When processes of this repo's races ran in which worktree, read from the files of each."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import WtraceError
from wtrace.git.race_files import Span
from wtrace.store import home
from wtrace.store.reader import Reader
from wtrace.supervisor.create import recall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.race.paths import Layout, RaceLayout
    from wtrace.race.status import Standing

JOBS = ("attempts", "setup", "after")


def spans(layout: Layout) -> dict[Path, list[Span]]:
    """For each worktree the spans of all that has ended there: attempts, set-up, confirmations, what ran afterwards."""
    found: dict[Path, list[Span]] = {}
    with Reader(layout.database) as reader:
        standings = [reader.standing(race.id) for race in reader.races()]
    for standing in standings:
        # A race whose folder is not of wtrace's making says nothing, and nothing is moved there.
        with suppress(WtraceError):
            for worktree, span in [] if standing is None else list(_of_race(layout, standing)):
                found.setdefault(worktree, []).append(span)
    return found


def _of_race(layout: Layout, standing: Standing) -> Iterator[tuple[Path, Span]]:
    race = layout.race(standing.id)
    home.require_own_race(race)
    confirmed = _confirmations(layout, standing.id)
    for worker in standing.workers:
        for folder in (*_jobs(race, worker.name), *confirmed.get(worker.name, ())):
            if span := _span(folder, race.left(worker.name)):
                yield Path(worker.worktree), span


def _jobs(race: RaceLayout, worker: str) -> Iterator[Path]:
    for kind in JOBS:
        yield from sorted((race.worker(worker) / kind).glob("*"))


def _confirmations(layout: Layout, race_id: str) -> dict[str, list[Path]]:
    """The folders of each worker's confirmations; they run in its worktree."""
    race, found = layout.race(race_id), dict[str, list[Path]]()
    if race.claim(1).exists():
        with suppress(
            WtraceError
        ):  # a record that cannot be read any more: those files stay in their worktree
            for claim in recall(layout, race_id)[1].claims:
                tries = sorted((race.claim(claim.number) / "attempts").glob("*"))
                found.setdefault(claim.worker, []).extend(tries)
    return found


def _span(folder: Path, into: Path) -> Span | None:
    """From the moment in which the start was claimed to the guardian's word that all below it were gone."""
    try:
        start = (folder / "start.claim").lstat().st_mtime_ns
        end = (folder / "exit.json").lstat().st_mtime_ns
    except OSError:
        return None
    return Span(start, end, into)
