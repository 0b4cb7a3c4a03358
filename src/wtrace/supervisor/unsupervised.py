"""Ends what runs of a race without its record: from the claims on disk alone. It starts nothing."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from wtrace.runners import processes, records
from wtrace.runners.local import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from wtrace.core.layout import RaceLayout

FOLDERS = ("*/attempts/*", "*/setup/*", "*/after/*", "claims/*/attempts/*")
LOOK_EVERY_S = 0.1


def end_all(race: RaceLayout, workers: Collection[str] = ()) -> list[str]:
    """End all processes of that race on this machine, or of some of its workers, and wait until they are gone.

    Returns, sorted, whose they were: workers, and `claims` for a confirmation. Each is told and killed as its attempt
    was started to be (SIGTERM, the grace, SIGKILL). What runs on another machine cannot be reached without the record.
    """
    folders = [folder for folder in _attempts(race) if not workers or _owner(race, folder) in workers]
    running = [folder for folder in folders if _runs(folder)]
    runner = LocalRunner()
    try:
        runner.stop_all(running)
        while any(_runs(folder) for folder in running):
            runner.lost()
            select.select([runner], [], [], LOOK_EVERY_S)
    finally:
        runner.close()
    return sorted({_owner(race, folder) for folder in running})


def _attempts(race: RaceLayout) -> list[Path]:
    return [folder for pattern in FOLDERS for folder in sorted(race.folder.glob(pattern))]


def _owner(race: RaceLayout, folder: Path) -> str:
    return folder.relative_to(race.folder).parts[0]


def _runs(folder: Path) -> bool:
    """Whether a process of that attempt lives, its guardian included."""
    claim = records.read_claim(folder)
    if claim is None or not claim.of_this_boot:
        return False
    return (
        processes.is_alive(claim.shim)
        or processes.is_alive(claim.worker)
        or bool(processes.find([claim.trace]))
    )
