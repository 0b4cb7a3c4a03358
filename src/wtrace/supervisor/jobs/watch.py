"""What runs for the race and is read: attempts, set-up commands and confirmations, each under its key."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.metrics.foreign import translation
from wtrace.metrics.slices import Slice
from wtrace.race import events as ev
from wtrace.supervisor.jobs.job_reader import Intake
from wtrace.supervisor.jobs.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.metrics.watcher import Watcher
    from wtrace.race.context import RaceContext
    from wtrace.runners.base import Runner
    from wtrace.store.reader import StoredPosition
    from wtrace.supervisor.jobs.watching import AnyIntake
    from wtrace.supervisor.journal import Journal

TURN_S = 0.2  # that reading may take in one turn; about, since each worker is read a little

log = logging.getLogger("wtrace")


class Following:
    """Reads whatever of them has changed. A key is a worker's name, `claim N` or `setup WORKER`."""

    def __init__(
        self,
        race: RaceContext,
        journal: Journal,
        runner: Runner,
        watcher: Watcher,
        positions: Mapping[tuple[str, int], StoredPosition],
    ) -> None:
        """`positions`: how far an earlier supervisor has read which attempt of which worker."""
        self._race = race
        self._journal = journal
        self._runner = runner
        self._watching = Watching(watcher)
        self._positions = positions
        self._intakes: dict[str, AnyIntake] = {}
        self._unread: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._intakes

    @property
    def has_more(self) -> bool:
        """Whether there is more to read than one turn should take."""
        return bool(self._unread)

    @property
    def hindered(self) -> set[str]:
        """Whose records the disk keeps from being written: read again in a while."""
        return {name for name, intake in self._intakes.items() if not intake.done and intake.hindered}

    def due(self) -> float | None:
        """When something is to be read although nothing changed (seconds since 1970)."""
        return min((at for intake in self._intakes.values() if (at := intake.due) is not None), default=None)

    def follow_worker(self, worker: str, attempt: int) -> None:
        """Follow an attempt of a worker. ToolError where it cannot be watched."""
        folder = self._race.layout.attempt(worker, attempt)
        intake = Intake(
            self._journal,
            self._runner,
            folder,
            root=self._race.root,
            worktree=Path(self._race.places[worker].worktree),
            output=self._race.layout.output(worker),
            worker=worker,
            attempt=attempt,
            since=self._positions.get((worker, attempt)),
            translation=translation.translation_of(self._race, worker, folder),
        )
        self.follow(worker, intake)

    def follow(self, key: str, intake: AnyIntake) -> None:
        """Follow this under the key, and no longer what was followed under it. ToolError as above."""
        before = self._intakes.pop(key, None)
        if before is not None:
            before.close()
            self._watching.unfollow(key)
        self._intakes[key] = intake
        self._watching.follow(key, intake)
        self._unread.add(key)

    def read(self, now: float, changed: set[Path], *, everything: bool) -> None:
        """Note what is new in these paths, or everywhere."""
        lost = self._lost()  # first: whoever is found to have left is news
        changed = changed | lost | self._runner.news()
        again, self._unread = self._unread | self.hindered, set()
        names = {self._watching.owner(path) for path in changed} | again
        names |= {
            name for name, intake in self._intakes.items() if intake.due is not None and now >= intake.due
        }
        # In the order of the config: what changed in one turn of the loop has no other order that can be known.
        reads = [name for name in self._intakes if everything or name in names]
        share_s = TURN_S / max(1, len(reads))  # so that who has a line only waits for no flood of another's
        for name in reads:
            # An exit appears in the attempt's folder, which is watched too; to look for it at every line is dear.
            may_have_ended = everything or name in again or self._intakes[name].folder in changed
            self._read(name, now, Slice(share_s), may_have_ended=may_have_ended)

    def _lost(self) -> set[Path]:
        """The folders of what nobody guards any more."""
        lost = set(self._runner.lost())
        for folder in lost:
            log.warning("%s is lost: nobody guards it any more", folder)
            if (owner := self._watching.owner(folder)) is not None:
                self._intakes[owner].is_lost = True
        return lost

    def _read(self, name: str, now: float, within: Slice, *, may_have_ended: bool) -> None:
        intake = self._intakes[name]
        if intake.done:
            return
        try:
            if intake.is_translated:
                self._watching.watch_again(intake.sources)  # before reading: what comes after it is told
        except ToolError:
            pass  # said below, if it stays so
        if intake.read(now, within, may_have_ended=may_have_ended):
            self._unread.add(name)
        if intake.is_translated and not intake.done:
            self._follow_sources(name, intake, now)

    def _follow_sources(self, name: str, intake: AnyIntake, now: float) -> None:
        try:
            if self._watching.follow_sources(name, intake):
                self._unread.add(name)
        except ToolError as error:
            self._journal.note(ev.Noticed(now, name, f"{error}: its metrics may be seen late"))
