"""After a race that was won: the losers' checkpoints that need not be kept are removed, and nothing else is."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

from wtrace.metrics.records import Check, decode
from wtrace.race.retention import Named, thinning
from wtrace.store.reader import Reader
from wtrace.supervisor.checkpoints.whole import Wholeness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.race.claims import Claim
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout
    from wtrace.race.retention import Thinning
    from wtrace.race.status import Standing

log = logging.getLogger("wtrace")

Identity = tuple[int, int]


def thin(race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]) -> None:
    """Remove them. Doing it again does no harm; what fails is logged and left."""
    try:
        for worker, plan in _plans(race, layout, standing, claims):
            output = race.layout.output(worker)
            spared = {found for path in plan.kept if (found := _identity(output / path)) is not None}
            for path in plan.removed:
                _remove(output, path, spared)
    except Exception:
        log.exception("the losers' checkpoints are all kept")


def told(race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]) -> tuple[str, ...]:
    """What became of the losers' checkpoints, a line for each worker that had more than are kept."""
    lines = []
    for worker, plan in _plans(race, layout, standing, claims):
        output = race.layout.output(worker)
        gone = sum(not os.path.lexists(output / path) for path in plan.removed)
        if gone:
            lines.append(
                f"{worker}: kept {', '.join(plan.kept)}; removed {gone} of {len(plan.removed)} others"
            )
        elif plan.doubts and len(plan.kept) > 1:
            lines.append(f"{worker}: kept {', '.join(plan.kept)}")
        lines += [f"{worker}: {path} may not be whole: {why}" for path, why in plan.doubts.items()]
    return tuple(lines)


def _plans(
    race: RaceContext, layout: Layout, standing: Standing, claims: tuple[Claim, ...]
) -> Iterator[tuple[str, Thinning]]:
    """Each loser with what becomes of its checkpoints. Where nobody won, nobody lost."""
    if standing.winner is None or race.spec.keep_checkpoints == "all":
        return
    named: dict[str, list[Named]] = {}
    with Reader(layout.database) as reader:
        for check in reader.checks(race.id, with_checkpoints=True):
            record = decode(check.raw)
            if isinstance(record, Check) and record.checkpoint is not None:
                named.setdefault(check.worker, []).append(Named(check.epoch, record.checkpoint, check.judged))
    whole = Wholeness(race, layout)
    for row in standing.workers:
        if row.name != standing.winner:
            claimed = [c.checkpoint for c in claims if c.worker == row.name and c.checkpoint is not None]
            best = None if row.best is None else row.best.epoch
            yield (
                row.name,
                thinning(
                    race.spec.keep_checkpoints,
                    named.get(row.name, []),
                    best,
                    claimed,
                    partial(whole.doubt, row.name),
                ),
            )


def _identity(path: Path) -> Identity | None:
    """Which file that is, links followed: what is kept may be a link to a file with another name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove(output: Path, path: str, spared: set[Identity]) -> None:
    """Remove a regular file below the output folder. No link is followed, and no folder is removed."""
    *folders, name = path.split("/")
    with contextlib.ExitStack() as stack:
        here = _open_folder(str(output), None, stack)
        try:
            for folder in folders:
                here = _open_folder(folder, here, stack)
            status = os.lstat(name, dir_fd=here)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("checkpoint %s is left: %s", path, error.strerror)
            return
        if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in spared:
            os.unlink(name, dir_fd=here)


def _open_folder(name: str, inside: int | None, stack: contextlib.ExitStack) -> int:
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
    stack.callback(os.close, opened)
    return opened
