"""What runs for the race and is read: attempts, set-up commands and confirmations, each under its key."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.metrics.foreign import translation
from wtrace.metrics.slices import Slice
from wtrace.race import events as ev
from wtrace.race import resources
from wtrace.race.policy import who_is_ready
from wtrace.race.scheduling import lack_of
from wtrace.runners.machine import look_for_room
from wtrace.supervisor.jobs.job_reader import Intake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.metrics.watcher import Watcher
    from wtrace.race.context import RaceContext
    from wtrace.race.resources import Room
    from wtrace.runners.base import Runner
    from wtrace.store.reader import StoredPosition
    from wtrace.supervisor.journal import Journal

if TYPE_CHECKING:
    from wtrace.metrics.foreign.translation import Watched
    from wtrace.metrics.watcher import Watcher
    from wtrace.supervisor.jobs.confirmation import ConfirmationIntake
    from wtrace.supervisor.jobs.setup import SetupIntake

    AnyIntake = Intake | ConfirmationIntake | SetupIntake


class Watching:
    """Keeps the watcher in step with what is followed. Keys are those of the supervisor's intakes."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._owners: dict[Path, str] = {}

    def owner(self, path: Path) -> str | None:
        """Whose path that is; None: nobody's who is followed."""
        return self._owners.get(path)

    def follow(self, key: str, intake: AnyIntake) -> None:
        """Be told of the attempt's folder and of its metrics. ToolError where they cannot be watched."""
        self._owners[intake.folder] = self._owners[intake.metrics] = key
        self._watcher.watch_folder(intake.folder)
        self._watcher.watch_file(intake.metrics)

    def unfollow(self, key: str) -> None:
        """Be told no more."""
        for path in self._of(key):
            self._watcher.forget(path)
            del self._owners[path]

    def follow_sources(self, key: str, intake: AnyIntake) -> bool:
        """Be told of the files that metrics are translated from. True: some are new and should be read once more.

        ToolError where they cannot be watched.
        """
        sources = intake.sources
        wanted = sources.files | sources.folders
        known = self._of(key) - {intake.folder, intake.metrics}
        for path in known - wanted:
            self._watcher.forget(path)
            del self._owners[path]
        self._owners.update(dict.fromkeys(wanted - known, key))
        self.watch_again(sources)
        return not wanted <= known

    def watch_again(self, sources: Watched) -> None:
        """A folder that was removed and made anew has lost its watch. ToolError where it cannot be watched."""
        for folder in sources.folders:
            if folder.is_dir():
                self._watcher.watch_folder(folder)
        for file in sources.files:
            if file.parent.is_dir():
                self._watcher.watch_file(file)

    def _of(self, key: str) -> set[Path]:
        return {path for path, owner in self._owners.items() if owner == key}


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


LOOK_AGAIN_AFTER_S = 2.0


class RoomWatch:
    """Looks only where the config asks for it and somebody is ready to start."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._wanted = resources.wants_room(journal.state.spec)
        self._seen: tuple[float, Room] | None = None  # what was free, and when
        self._told: set[str] = set()

    def due(self, now: float) -> float | None:
        """When to look again (seconds since 1970), or None while nobody waits."""
        return now + LOOK_AGAIN_AFTER_S if self._waits(now) else None

    def look(self, now: float) -> Room | None:
        """What is free, where a start depends on it; None elsewhere."""
        machine = self._journal.state.machine
        if machine is None or not self._waits(now):
            return None
        if self._seen is None or now >= self._seen[0] + LOOK_AGAIN_AFTER_S / 2:
            self._seen = now, look_for_room(machine)
        return self._seen[1]

    def tell(self, now: float, room: Room | None) -> None:
        """Say once of each worker that it waits for memory which others use."""
        for name in who_is_ready(self._journal.state, now) if room is not None else ():
            lack = None if name in self._told else lack_of(self._journal.state, name, now, room)
            if lack is not None and lack.what == "now":
                self._told.add(name)
                self._journal.note(ev.Noticed(now, name, lack.why))

    def _waits(self, now: float) -> bool:
        return self._wanted and bool(who_is_ready(self._journal.state, now))
