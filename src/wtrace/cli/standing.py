"""Where a race stands when nobody may be supervising it: the record, held against the processes that live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.race.view import Fate, unsupervised
from wtrace.store import home

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.race.paths import Layout
    from wtrace.race.status import Standing


def current_standing(layout: Layout, standing: Standing) -> Standing:
    """The standing as it is now: with a living supervisor as recorded, else with the fate of each process."""
    supervised = home.is_locked(layout) and home.who_holds(layout) == standing.id
    if supervised:
        return standing
    folders = {
        worker.name: layout.race(standing.id).attempt(worker.name, worker.attempt)
        for worker in standing.workers
        if worker.attempt > 0
    }
    fates = {name: _fate(folder) for name, folder in folders.items()}
    return unsupervised(standing, {name: fate for name, fate in fates.items() if fate is not None})


def _fate(folder: Path) -> Fate | None:
    """What became of an attempt; None when it was never started."""
    from wtrace.runners.attempt_folder import read_claim, read_exit
    from wtrace.runners.engine import read_record
    from wtrace.runners.processes import is_alive

    claim, exit_ = read_claim(folder), read_exit(folder)
    if claim is None:
        return None
    elsewhere = read_record(folder) is not None  # nothing that can be seen from here says that it has ended
    alive = elsewhere or (claim.of_this_boot and (is_alive(claim.worker) or is_alive(claim.shim)))
    return Fate(alive, None if exit_ is None else (exit_.code, exit_.signal, exit_.known))
