"""Which files that workers left are whole: asked by the report, the merge, the mirror, `[keep]` and `[after]` alike."""

from __future__ import annotations

import contextlib
import os
import stat
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.engines import LOCAL
from wtrace.data import replace
from wtrace.metrics.records import Check, decode
from wtrace.race.claims import names_when_saved
from wtrace.race.phases import Ended, Retrying
from wtrace.race.whole import MOMENT_S, NOT_THERE, Ending, doubt
from wtrace.runners.attempt_folder import read_exit
from wtrace.store.reader import Reader
from wtrace.supervisor.create import recall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout, RaceLayout
    from wtrace.race.state import Worker

MOST_FILES = 100_000


class Wholeness:
    """What is known of the files in the workers' output folders, from the record of the race."""

    def __init__(self, race: RaceContext, layout: Layout) -> None:
        self._race = race
        self._named: dict[tuple[str, str], float] = {}
        self._endings: dict[str, Ending] = {}
        self._gone: dict[str, float] = {}  # when nobody of the worker's was left
        _, state, _ = recall(layout, race.id)
        for worker, each in state.workers.items():
            self._endings[worker] = ending_of(race.layout, worker, each)
            if (gone := _gone(race, worker, each)) is not None:
                self._gone[worker] = gone
        with Reader(layout.database) as reader:
            self._read_names(reader)

    def doubt(self, worker: str, name: str) -> str | None:
        """Why that file, seen from the worker's output folder, may not be whole; None: it is."""
        try:
            status = (self._race.layout.output(worker) / name).stat()
        except OSError:
            return NOT_THERE
        if min(status.st_mtime, status.st_ctime) > self._gone.get(worker, inf) + MOMENT_S:
            return None  # whoever wrote it, as `[after]` may, was none of the worker's
        named_at = self._named.get((worker, os.path.normpath(name)))
        return doubt(name, status.st_mtime, self._endings.get(worker, Ending()), named_at)

    def doubt_of(self, path: Path) -> str | None:
        """As `doubt`, of any file: one that lies in no worker's output folder is none that a worker writes."""
        for worker in self._race.places:
            output = Path(os.path.realpath(self._race.layout.output(worker)))
            if path.is_relative_to(output):
                return self.doubt(worker, str(path.relative_to(output)))
        return None

    def doubts(self, worker: str) -> dict[str, str]:
        """All such files in the worker's output folder, and why; at most `MOST_FILES` are looked at."""
        ending = self._endings.get(worker, Ending())
        if ending.by_itself or (ending.settled and ending.writing is None):
            return {}
        found = ((name, self.doubt(worker, name)) for name in self._files(worker))
        return {name: why for name, why in found if why is not None}

    def _files(self, worker: str) -> Iterator[str]:
        output = self._race.layout.output(worker)
        count = 0
        for folder, folders, names in os.walk(output):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                count += 1
                if count > MOST_FILES:
                    return
                if stat.S_ISREG(path.lstat().st_mode):
                    yield str(path.relative_to(output))

    def _read_names(self, reader: Reader) -> None:
        for check in reader.checks(self._race.id, with_checkpoints=True):
            record = decode(check.raw)
            if (
                isinstance(record, Check)
                and record.checkpoint
                and names_when_saved(self._race.spec, check.worker)
            ):
                self._named[check.worker, os.path.normpath(record.checkpoint)] = check.at


def _gone(race: RaceContext, name: str, worker: Worker) -> float | None:
    """When the guardian wrote down how it ended, which it does when the whole tree is gone; None where that is not known.

    Elsewhere the times are those of another clock.
    """
    phase = worker.phase
    if not isinstance(phase, Ended) or race.spec.runner_of(race.spec.worker(name)) != LOCAL:
        return None
    folder = race.layout.attempt(name, phase.attempt)
    exit_ = read_exit(folder)
    if exit_ is None or not exit_.known:
        return None
    with contextlib.suppress(OSError):
        return max(exit_.at, (folder / "exit.json").stat().st_mtime)
    return None


def ending_of(layout: RaceLayout, name: str, worker: Worker) -> Ending:
    """How the worker has ended, if it has, with what its files tell: its exit was perhaps seen long after it."""
    ending = worker.ending
    if ending.at is None or not isinstance(worker.phase, Ended | Retrying):
        return ending
    folder = layout.attempt(name, worker.phase.attempt)
    exit_ = read_exit(folder)
    last_line = None
    with contextlib.suppress(OSError):
        last_line = (folder / "metrics.jsonl").stat().st_mtime
    return replace(ending, at=ending.at if exit_ is None else min(exit_.at, ending.at), last_line=last_line)
