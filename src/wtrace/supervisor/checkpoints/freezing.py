"""What claims name is frozen: looked at until it is whole, then copied beside the loop, each claim's as it is made."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race import events as ev
from wtrace.race import freezing as rules
from wtrace.race.claims import reports_first
from wtrace.race.phases import ALIVE, SettingUp, Waiting
from wtrace.runners.attempt_folder import read_claim
from wtrace.runners.processes import is_alive
from wtrace.supervisor.checkpoints import copying
from wtrace.supervisor.checkpoints.whole import ending_of

if TYPE_CHECKING:
    from wtrace.race.claims import Claim
    from wtrace.race.context import RaceContext
    from wtrace.race.events import Event
    from wtrace.race.phases import Launching, Running, Stopping
    from wtrace.race.state import State
    from wtrace.runners.base import Runner
    from wtrace.supervisor.clock import Clock
    from wtrace.supervisor.journal import Journal

LOOK_EVERY_S = 0.2
LIMIT_S = 60.0
"""A file that is not whole is waited for so long while nothing of it changes."""
LOOK_FOR_ROOM_EVERY_S = 1.0
NO_ROOM = "no room"
MOST_TRIES = 3
"""So often a copy is begun that finds only on its way that the disk has no room."""


class _Job:
    """One claim's file: what was seen of it, and the copy that is being made."""

    def __init__(self) -> None:
        self.seen: rules.Seen | None = None
        self.copy: copying.Copy | None = None
        self.tries = 0  # copies that were given up on their way
        self.not_before = 0.0
        self.told: str | None = None


class Freezer:
    """Does nothing of its own accord: the loop calls `tend` at the end of a turn, after all signals have gone out."""

    def __init__(self, race: RaceContext, journal: Journal, runner: Runner, clock: Clock) -> None:
        self._race = race
        self._clock = clock
        self._journal = journal
        self._runner = runner
        self._jobs: dict[int, _Job] = {}  # by the claim's number
        self._looks_at = 0.0
        self._removed: set[int] = set()
        self._habits: dict[str, rules.Habit] = {}
        self._silent: dict[str, float] = {}  # when a worker was last known to have reported nothing
        self._heard: dict[
            str, tuple[int, int, float | None]
        ] = {}  # attempt, epoch, when: of the latest reading
        self._watched = [each.name for each in race.spec.workers if reports_first(race.spec, each.name)]
        self._bell, self._rung = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Becomes readable when a copy has been made, or has failed."""
        return self._bell

    def close(self) -> None:
        """Let go of everything that is still being copied."""
        for job in self._jobs.values():
            if job.copy is not None:
                job.copy.abandon()
                job.copy.wait(1.0)
        self._jobs.clear()
        os.close(self._bell)
        os.close(self._rung)

    def begin(self, number: int) -> None:
        """From now on see to this claim's file."""
        self._jobs.setdefault(number, _Job())
        self._looks_at = 0.0

    def due(self) -> float | None:
        """When to look again (seconds since 1970); None while no file is waited for."""
        return self._looks_at if any(job.copy is None for job in self._jobs.values()) else None

    def tend(self, now: float, *, all_read: bool = True) -> None:
        """Take note of copies that have been made, and look at files that are waited for.

        `all_read`: whatever the workers had reported before this turn of the loop has been read.
        """
        self._learn(now)
        self._remove_dropped()
        if not self._jobs:
            return
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 4096)
        looks = now >= self._looks_at
        if looks:
            self._looks_at = now + LOOK_EVERY_S
        for number, job in list(self._jobs.items()):
            claim = self._state.claims[number - 1]
            if not self._state.wants_frozen(claim):
                self._let_go(claim, job)
            elif job.copy is not None:
                self._take_outcome(now, claim, job)
            elif looks and now >= job.not_before:
                self._look(now, claim, job, all_read=all_read)

    @property
    def _state(self) -> State:
        return self._journal.state

    def _let_go(self, claim: Claim, job: _Job) -> None:
        del self._jobs[claim.number]
        if job.copy is not None:
            job.copy.abandon()

    def _remove_dropped(self) -> None:
        """The copy for a claim that a later one has taken the place of."""
        for claim in self._state.claims:
            if claim.status == "dropped" and claim.number not in self._removed:
                self._removed.add(claim.number)
                with contextlib.suppress(OSError):
                    self._copy_of(claim).unlink(missing_ok=True)

    def _copy_of(self, claim: Claim) -> Path:
        suffix = Path(claim.checkpoint or "").suffix
        return self._race.layout.claim(claim.number) / f"checkpoint{suffix}"

    def _end(self, event: Event, number: int) -> None:
        del self._jobs[number]
        self._journal.note(event)

    def _fail(self, now: float, claim: Claim, why: str) -> None:
        named = "the check named no checkpoint" if claim.checkpoint is None else ""
        problem = named or f"its checkpoint {claim.checkpoint} {why}"
        self._end(ev.FreezeFailed(now, claim.number, claim.worker, problem), claim.number)

    def _tell_waiting(self, now: float, claim: Claim, job: _Job, why: str) -> None:
        """Once for each reason: a person may mend it, and later claims need not wait for ever."""
        if job.told != why:
            job.told = why
            self._journal.note(ev.FreezeWaits(now, claim.number, claim.worker, f"{claim.checkpoint} {why}"))

    def _take_outcome(self, now: float, claim: Claim, job: _Job) -> None:
        assert job.copy is not None
        match job.copy.outcome:
            case None:
                return
            case copying.Copied(path, sha256):
                self._end(ev.CheckpointFrozen(now, claim.number, str(path), sha256), claim.number)
            case copying.Failed(why):
                self._fail(now, claim, why)
            case copying.NoRoom(why, wrote):
                self._wait_for_room(now, claim, job, why, wrote=wrote)
            case copying.Changed():
                self._looks_at = now
        job.copy = None

    def _wait_for_room(self, now: float, claim: Claim, job: _Job, why: str, *, wrote: bool) -> None:
        """Somebody may make room meanwhile; but the disk is not filled again and again."""
        confirm = self._race.spec.confirm
        limit_s = LIMIT_S if confirm is None else max(LIMIT_S, confirm.timeout_s)
        job.tries += wrote
        job.not_before = now + LOOK_FOR_ROOM_EVERY_S
        if job.tries >= MOST_TRIES or now >= claim.at + limit_s:
            self._fail(now, claim, why)
        elif job.told != NO_ROOM:
            job.told = NO_ROOM
            text = f"{claim.checkpoint} {why}"
            self._journal.note(ev.FreezeWaits(now, claim.number, claim.worker, text, whole=True))

    def _look(self, now: float, claim: Claim, job: _Job, *, all_read: bool) -> None:
        if claim.checkpoint is None:
            self._fail(now, claim, "")
            return
        if self._copy_of(claim).exists():  # made by a supervisor that was killed before it could tell
            job.copy = copying.Copy(None, self._copy_of(claim), self._ring)
            return
        try:
            source = copying.source_of(self._race.layout.output(claim.worker), claim.checkpoint)
            writing = self._is_written(claim.worker, source)
            file, printed_at = copying.look_at(source), self._printed_before(claim)
            look = rules.Look(now, file, writing, printed_at, self._clock.now(), all_read=all_read)
        except copying.CopyError as error:
            self._fail(now, claim, str(error))
            return
        job.seen = rules.seen_now(job.seen, look)
        if all_read and job.seen.known_at is None:
            self._looks_at = now  # the next turn reads what has been reported meanwhile
        habit = self._habits.get(claim.worker, rules.Habit())
        ending = ending_of(self._race.layout, claim.worker, self._state.workers[claim.worker])
        match rules.may_copy(self._race.spec, claim, job.seen, habit, ending=ending, limit_s=LIMIT_S):
            case rules.Wait(why):
                self._tell_waiting(now, claim, job, why)
            case rules.Lost(why):
                self._fail(now, claim, why)
            case rules.Take():
                assert look.file is not None
                job.copy = copying.Copy((source, look.file), self._copy_of(claim), self._ring)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full, so that it rings already; or closed
            os.write(self._rung, b"\0")

    def _printed_before(self, claim: Claim) -> float | None:
        phase = self._state.workers[claim.worker].phase
        attempt = 0 if isinstance(phase, Waiting | SettingUp) else phase.attempt
        return (
            self._printed_at(claim.worker, attempt) if reports_first(self._race.spec, claim.worker) else None
        )

    def _is_written(self, worker: str, source: Path) -> bool | None:
        """Whether any process of the worker's has the file open for writing; None: it cannot be told."""
        phase = self._state.workers[worker].phase
        if not isinstance(phase, ALIVE):
            return False
        folder = self._race.layout.attempt(worker, phase.attempt)
        held = self._runner.writing(folder, [source])
        if held is None or held:
            return None if held is None else True
        claim = read_claim(folder)
        # Closed by an end that is not noted yet: how it ended will say whether the file is whole.
        return claim is not None and not is_alive(claim.worker)

    def _learn(self, now: float) -> None:
        """Whether a training that keeps one file for all epochs saves before it reports one, or afterwards."""
        for name in self._watched:
            worker = self._state.workers[name]
            if not isinstance(worker.phase, ALIVE):
                continue
            attempt, epoch, at = self._heard.get(name, (0, 0, None))
            if not worker.reported:
                self._silent[name] = now
            elif attempt != worker.phase.attempt:
                self._habits[name] = self._first_habit(name, worker.phase, alone=worker.epoch == epoch + 1)
                self._heard[name] = (worker.phase.attempt, worker.epoch, now)
            elif worker.epoch > epoch:
                self._habits[name] = replace(self._habits[name], previous=at)
                self._heard[name] = (attempt, worker.epoch, now)

    def _first_habit(self, name: str, phase: Launching | Running | Stopping, *, alone: bool) -> rules.Habit:
        """`alone`: not more than one epoch was read at once."""
        if not alone:
            return rules.Habit()
        return rules.habit_at_first(
            self._file_of_all(name),
            began=phase.since,
            silent_at=self._silent.get(name),
            printed_at=self._printed_at(name, phase.attempt),
        )

    def _printed_at(self, worker: str, attempt: int) -> float | None:
        """When it last wrote to its log, where its metrics are read from that."""
        spec = self._race.spec
        if spec.metrics_of(spec.worker(worker)).source != "stdout":
            return None
        try:
            return (self._race.layout.attempt(worker, attempt) / "training.log").stat().st_mtime
        except OSError:
            return None

    def _file_of_all(self, worker: str) -> rules.FileSeen | None:
        name = self._race.spec.metrics_of(self._race.spec.worker(worker)).checkpoint or ""
        try:
            return copying.look_at(copying.source_of(self._race.layout.output(worker), name))
        except copying.CopyError:
            return None
