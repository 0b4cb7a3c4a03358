"""Workers that settle: what they have open is looked at, until nothing that they save can be lost any more.

The rules stand in `core.settling`. Before a worker has won, a look now and then says which files are open all the
time; only workers whose win would be waited for are looked at, and never between a verdict and the losers' signals.
"""

from __future__ import annotations

import os
import random
import signal
import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.engines import LOCAL
from wtrace.race import events as ev
from wtrace.race.event_text import TORN
from wtrace.race.phases import Ended, Running, Stopping
from wtrace.race.settling import (
    STILL_S,
    Activity,
    Saved,
    ends_by,
    grown,
    logs_among,
    may_end,
    remember,
    saves,
)
from wtrace.supervisor.checkpoints.scanning import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wtrace.race.context import RaceContext
    from wtrace.race.open_file import FileId, OpenFile
    from wtrace.race.settling import Seen, Settling
    from wtrace.runners.base import Runner
    from wtrace.supervisor.checkpoints.scanning import Scan
    from wtrace.supervisor.journal import Journal

LOOK_EVERY_S = 0.1  # at what a settling worker has open
LOOK_SOON_S = 0.05  # where it has gone on, and is ended between two saves
TELL_EVERY_S = 1.0  # what it saves, where that changes
SCAN_EVERY_S = 1.0  # its folders, for what has changed in them
SCAN_SHARE = 20  # where a scan takes long, the next one waits so many times as long
REMEMBER_S = (1.0, 30.0)  # from, to: between two looks at a worker that has not won
HALTS_WITHIN_S, HALT_AGAIN_S = 0.25, 1.0
UNFINISHED_S = 0.5  # a file that was open so shortly before the SIGKILL was being written then


class Settler:
    """Looks at what workers have open, and notes what follows for those that settle."""

    def __init__(self, race: RaceContext, journal: Journal, runner: Runner) -> None:
        self._race = race
        self._journal = journal
        self._runner = runner
        self._attempts: dict[str, _Attempt] = {}
        self._watched = frozenset(
            spec.name
            for spec in race.spec.workers
            if not spec.control and ends_by(race.spec, spec) == "settle"
        )

    def due(self) -> float:
        """When to look again (seconds since 1970)."""
        looked_at: list[tuple[str, Running | Stopping]] = [*self._looked_at(), *self._leaving()]
        return min((self._attempt(name, phase).look_at for name, phase in looked_at), default=inf)

    def look(self, now: float) -> None:
        """Look at those who settle, where it is time or they have reported, and at one of the others."""
        others = 1  # a winning line that is written meanwhile must not wait for more
        for name, phase in list(self._looked_at()):
            attempt = self._attempt(name, phase)
            epoch = self._journal.state.workers[name].epoch
            if phase.settling is not None:
                if now >= attempt.look_at or not phase.settling.seen or epoch != attempt.epoch:
                    for event in attempt.tend(phase.settling, epoch, now):
                        self._journal.note(event)
            elif now >= attempt.look_at and others:
                others -= 1
                attempt.remember(now)
        for name, leaving in self._leaving():
            if now >= (attempt := self._attempt(name, leaving)).look_at:
                attempt.see_off(leaving.asked, now)

    def tell_killed(self, now: float) -> None:
        """Say which file a winner was writing that did not leave within its grace."""
        winner = self._winner()
        if winner is None or winner not in self._attempts:
            return
        phase = self._journal.state.workers[winner].phase
        if isinstance(phase, Ended) and phase.exit is not None and phase.exit.signal == signal.SIGKILL:
            file = self._attempts.pop(winner).unfinished(now)
            if file is not None:
                self._journal.note(ev.Noticed(now, winner, f"was killed while it wrote {file}, {TORN}"))

    def let_go(self) -> None:
        """The turn could not be stored: who was halted to be ended is not ended now."""
        for attempt in self._attempts.values():
            attempt.let_go()

    def _winner(self) -> str | None:
        verdict = self._journal.state.verdict
        return None if verdict is None else verdict.worker

    def _leaving(self) -> Iterator[tuple[str, Stopping]]:
        """The winner that has heard SIGTERM, and may be saving."""
        winner = self._winner()
        phase = None if winner is None else self._journal.state.workers[winner].phase
        if winner is not None and isinstance(phase, Stopping):
            yield winner, phase

    def _looked_at(self) -> Iterator[tuple[str, Running]]:
        for name, worker in self._journal.state.workers.items():
            phase = worker.phase
            if not isinstance(phase, Running):
                continue
            watched = name in self._watched or (worker.saves_late and self._race.spec.on_win == "auto")
            if watched if phase.settling is None else not phase.settling.done:
                yield name, phase

    def _attempt(self, name: str, phase: Running | Stopping) -> _Attempt:
        known = self._attempts.get(name)
        folder = self._race.layout.attempt(name, phase.attempt)
        if known is None or known.folder != folder:
            known = _Attempt(self._race, self._runner, name, folder)
            self._attempts[name] = known
        return known


class _Attempt:
    """What is known of one attempt's open files and folders."""

    def __init__(self, race: RaceContext, runner: Runner, name: str, folder: Path) -> None:
        self.folder = folder
        self.look_at = 0.0  # seconds since 1970, as all times here
        self.epoch = 0  # as it was at the latest look
        self._runner = runner
        self._name = name
        self._folders = race.layout.output(name), Path(race.places[name].worktree)
        self._limit_s = race.spec.settle_s
        # Elsewhere what is open is known late, and nobody halts it: it has to be still as well.
        self._is_here = race.spec.runner_of(race.spec.worker(name)) == LOCAL
        self._open: dict[FileId, Seen] = {}
        self._pause_s = REMEMBER_S[0]
        self._logs: tuple[FileId, ...] = ()
        self._saves: dict[FileId, Saved] = {}
        self._finished: set[str] = set()  # paths of saves that were seen to end
        self._told_at = 0.0
        self._scanned: Scan | None = None
        self._scan_at = 0.0
        self._changed = 0.0
        self._newest: Saved | None = None
        self._halted = False
        self._writes: Saved | None = None  # since it was asked to leave

    def remember(self, now: float) -> None:
        """Look at moments of no rhythm: a training that saves at each reading would be met at it each time."""
        found = self._writing()
        if found is None:
            self.look_at = inf
            return
        self._open = remember(self._open, found, now)
        is_new = any(each.looks == 0 for each in self._open.values())
        self._pause_s = REMEMBER_S[0] if is_new else min(self._pause_s * 1.5, REMEMBER_S[1])
        self.look_at = now + self._pause_s * random.uniform(0.5, 1.5)

    def tend(self, settling: Settling, epoch: int, now: float) -> Iterator[ev.Event]:
        """Look at what it saves; what is to be noted of it."""
        self._logs = settling.logs if settling.seen else logs_among(self._open)
        if not settling.seen:
            self._runner.unpause(self.folder)  # one that was halted by a person could not save
        self.epoch = epoch
        self.look_at = now + (LOOK_SOON_S if epoch > settling.epoch else LOOK_EVERY_S)
        found = self._writing()
        asked = found is not None and self._is_here
        if not asked or epoch <= settling.epoch:  # else it has gone on, and quiet is not waited for
            self._scan(now)
        self._look_at_saves(found or (), now)
        activity = Activity(self._saved(found, now), self._changed, asked=asked)
        file = self._told(activity.saves[0].path) if activity.saves else None
        is_new = file not in {None, settling.saving} and now >= self._told_at + TELL_EVERY_S
        if not settling.seen or is_new:
            self._told_at = now
            yield ev.SavingSeen(now, self._name, file, self._logs)
        if may_end(settling, epoch, activity, self._limit_s, now) and (
            activity.saves or found is None or self._halts(now, settling.since + self._limit_s)
        ):
            yield ev.WorkerSettled(now, self._name, file)

    def see_off(self, asked: float, now: float) -> None:
        """Remember what it writes since it was asked to leave: it may be killed in the middle of that."""
        self.look_at = now + LOOK_EVERY_S
        found = [each for each in self._writing() or () if each.modified_ns / 1e9 > asked - 1.0]
        for each in saves({}, found, self._logs, now).values():
            self._writes = each

    def unfinished(self, now: float) -> str | None:
        """The file that it wrote when it was killed; None: none, as far as was seen."""
        writes = self._writes
        return self._told(writes.path) if writes is not None and now < writes.grew + UNFINISHED_S else None

    def _look_at_saves(self, found: Iterable[OpenFile], now: float) -> None:
        before = self._saves
        self._saves = saves(before, found, self._logs, now, finished=self._finished)
        self._finished |= {each.path for identity, each in before.items() if identity not in self._saves}

    def let_go(self) -> None:
        """Go on, if it was halted to be ended."""
        if self._halted:
            self._halted = False
            self._runner.unpause(self.folder)

    def _writing(self) -> frozenset[OpenFile] | None:
        return self._runner.writing(self.folder, self._folders)

    def _saved(self, found: frozenset[OpenFile] | None, now: float) -> tuple[Saved, ...]:
        """What it saves; where open files cannot be asked for, the file that has just been changed."""
        if found is not None:
            return tuple(self._saves.values())
        still = now >= self._changed + STILL_S
        return () if still or self._newest is None else (self._newest,)

    def _halts(self, now: float, latest: float) -> bool:
        """Between the look and the signal no save may begin: halt it, and look again. False: not now.

        One that does not come to a halt is in the middle of reading or writing.
        """
        halts = self._runner.halt(self.folder, HALTS_WITHIN_S)
        if not halts:
            self.look_at = now + HALT_AGAIN_S  # to wait for it holds up all else
            return halts is None or now >= latest
        found = self._writing() or ()
        self._halted = True
        if saves(self._saves, found, self._logs, now):
            self.let_go()
        return self._halted

    def _scan(self, now: float) -> None:
        """Take note of whether anything in its folders has changed since they were looked at last."""
        if now < self._scan_at:
            return
        began, before = time.monotonic(), self._scanned
        self._scanned = found = scan(self._folders, frozenset(self._logs))
        if before is None or found != before:
            self._changed = now
        if before is not None and found != before:
            self._newest = grown(self._newest, found.newest, found.size, now) if found.newest else None
        self._scan_at = now + max(SCAN_EVERY_S, SCAN_SHARE * (time.monotonic() - began))

    def _told(self, path: str) -> str:
        """The file as a person knows it: seen from the worker's output folder, or from its worktree."""
        for folder in map(os.path.realpath, self._folders):
            if path.startswith(f"{folder}/"):
                return path[len(folder) + 1 :]
        return path
