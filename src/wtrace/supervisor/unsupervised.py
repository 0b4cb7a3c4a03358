"""Ends what runs of a race without its record: from the claims on disk alone. It starts nothing."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from wtrace.runners import attempt_folder, processes
from wtrace.runners.local import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from wtrace.race.paths import RaceLayout

FOLDERS = ("*/attempts/*", "*/setup/*", "*/after/*", "claims/*/attempts/*")
LOOK_EVERY_S = 0.1


def end_all(race: RaceLayout, workers: Collection[str] = ()) -> list[str]:
    """End all processes of that race on this machine, or of some of its workers, and wait until they are gone.

    Returns, sorted, whose they were: workers, and `claims` for a confirmation. Each is told and killed as its attempt
    was started to be (SIGTERM, the grace, SIGKILL). What runs on another machine cannot be reached without the record.
    """
    running = _running(race, workers)
    runner = LocalRunner()
    try:
        runner.stop_all(running)
        while any(_runs(folder) for folder in running):
            runner.lost()
            select.select([runner], [], [], LOOK_EVERY_S)
    finally:
        runner.close()
    return sorted({_owner(race, folder) for folder in running})


def owners(race: RaceLayout, workers: Collection[str] = ()) -> list[str]:
    """Whose processes run, sorted, as above."""
    return sorted({_owner(race, folder) for folder in _running(race, workers)})


def wait(race: RaceLayout, workers: Collection[str], *, at_most_s: float) -> None:
    """Until none of these runs any more, or the time is over."""
    deadline = time.monotonic() + at_most_s
    while _running(race, workers) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


def _running(race: RaceLayout, workers: Collection[str]) -> list[Path]:
    wanted = [folder for folder in _attempts(race) if not workers or _owner(race, folder) in workers]
    return [folder for folder in wanted if _runs(folder)]


def _attempts(race: RaceLayout) -> list[Path]:
    return [folder for pattern in FOLDERS for folder in sorted(race.folder.glob(pattern))]


def _owner(race: RaceLayout, folder: Path) -> str:
    return folder.relative_to(race.folder).parts[0]


def _runs(folder: Path) -> bool:
    """Whether a process of that attempt lives, its guardian included."""
    claim = attempt_folder.read_claim(folder)
    if claim is None or not claim.of_this_boot:
        return False
    return (
        processes.is_alive(claim.shim)
        or processes.is_alive(claim.worker)
        or bool(processes.find([claim.trace]))
    )
