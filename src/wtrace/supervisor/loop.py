"""The loop of a race: wait for something to happen, take note, decide, act. One thread, no polling.

The order within a turn is what the promises rest on. All that was seen, what follows from it, and what is
about to be done are stored in one transaction; only then is anything done. After a crash the next supervisor
finds either nothing or the whole turn, and doing the recorded deeds again does no harm.
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import sqlite3
import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.core import decide, referee
from wtrace.core import events as ev
from wtrace.core.phases import Ended, Launching, Retrying, Running, SettingUp, Stopping, Waiting
from wtrace.errors import ToolError
from wtrace.metrics.watcher import make_watcher
from wtrace.results.courier import Courier
from wtrace.results.notices import notices_of
from wtrace.supervisor import hybrids, points, translating
from wtrace.supervisor.attempts import may_pass, prepare_attempt
from wtrace.supervisor.confirmation import (
    ConfirmationIntake,
    FreezeError,
    freeze,
    prepare_confirmation,
)
from wtrace.supervisor.intake import Intake
from wtrace.supervisor.outlook import merge_outlook
from wtrace.supervisor.pages import Pages
from wtrace.supervisor.requests import events_of_request, pending_requests
from wtrace.supervisor.room import RoomWatch
from wtrace.supervisor.setting_up import SetupIntake, is_set_up, prepare_setup
from wtrace.supervisor.spawn import hand_nothing_on, remove_drafts, reserve_files
from wtrace.supervisor.watching import Watching
from wtrace.sync.agents import Agents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.core.resources import Grant
    from wtrace.core.state import State
    from wtrace.results.dashboard.curves import Curves
    from wtrace.runners.base import Runner
    from wtrace.store.reader import StoredPosition
    from wtrace.supervisor.clock import Clock
    from wtrace.supervisor.context import RaceContext
    from wtrace.supervisor.journal import Journal
    from wtrace.supervisor.watching import AnyIntake

log = logging.getLogger("wtrace")

TRY_AGAIN_AFTER_S = 1.0
REST = 9  # after a turn the loop leaves the processor to the trainings for so many times as long,
MOST_REST_S = 0.05  # but no longer; what comes meanwhile is taken together

Deed = decide.Action | ev.WorkerPaused | ev.WorkerUnpaused


class Supervisor:
    """Runs one race from whatever state it is in to its end."""

    def __init__(
        self,
        race: RaceContext,
        journal: Journal,
        runner: Runner,
        clock: Clock,
        *,
        positions: Mapping[tuple[str, int], StoredPosition],
        curves: Curves,
    ) -> None:
        self._race = race
        self._layout = race.layout
        self._journal = journal
        self._runner = runner
        self._clock = clock
        self._positions = positions
        self._watcher = make_watcher()
        self._selector = selectors.DefaultSelector()
        # By worker; confirmations by `claim N`, set-ups by `setup WORKER`.
        self._intakes: dict[str, AnyIntake] = {}
        self._watching = Watching(self._watcher)
        self._deeds: list[Deed] = []
        self._unread: set[str] = set()
        self._taken: list[Path] = []  # requests that may be deleted once they are stored
        self._pages = Pages(race, journal, curves)
        self._agents = Agents(
            race.root, race.id, race.layout.folder, [target.name for target in race.spec.sync]
        )
        self._courier = Courier(race.spec.notify_urls, race.layout.log)
        self._woken = 0.0  # monotonic: when the latest turn began
        self._settled = -1  # how many events had been noted when the rules had nothing to add
        self._asks_at = -inf  # when they will, although nothing happens
        self._stuck_since: float | None = None
        self._postponed: list[Deed] = []  # what the disk does not let us do yet
        self._waits_told: set[Deed] = set()
        self._room = RoomWatch(journal)

    @property
    def state(self) -> State:
        """The race as it stands."""
        return self._journal.state

    def run(self) -> State:
        """Supervise until the race has ended and everything about it is stored."""
        for readable in (self._watcher.fileno(), self._runner.fileno()):
            if readable is not None:
                self._selector.register(readable, selectors.EVENT_READ)
        hand_nothing_on()
        reserve_files(len(self.state.workers))
        remove_drafts(self._layout.results)
        try:
            self._watch_requests()
            self._take_over()
            for spec in self.state.spec.workers:
                if not spec.combines:
                    self._note_set_up(spec.name, self._clock.now())
            self._turn(set(), everything=True)
            self._warm_up()
            self._foresee_conflicts()
            while self._goes_on():
                self._turn(self._wait())
        finally:
            self._watcher.close()
            self._selector.close()
        return self.state

    def _watch_requests(self) -> None:
        """The folder of requests, made anew where somebody removed it."""
        try:
            self._layout.requests.mkdir(mode=0o700, exist_ok=True)
            self._watcher.watch_folder(self._layout.requests)
        except (OSError, ToolError) as error:
            log.error("requests cannot be taken: %s", error)

    def _goes_on(self) -> bool:
        """Until the end of the race is stored, or can never be: its folder is gone."""
        return self.state.outcome is None or (self._stuck_since is not None and self._layout.folder.exists())

    def _take_over(self) -> None:
        """Follow what an earlier supervisor started, and do again what it may not have done."""
        for name, worker in self.state.workers.items():
            phase = worker.phase
            if isinstance(phase, Waiting | SettingUp | Ended | Retrying):
                continue
            folder = self._layout.attempt(name, phase.attempt)
            if isinstance(phase, Launching) and self._runner.started(folder) is None:
                continue
            if not folder.exists():
                self._give_up(name, phase)
                continue
            self._follow_worker(name, phase.attempt)
            self._runner.adopt(folder)
            if isinstance(phase, Running):  # told to, but perhaps not done
                change = ev.WorkerPaused if phase.paused else ev.WorkerUnpaused
                self._deeds.append(change(phase.since, name))
        self._deeds.extend(
            deed
            for deed in decide.unfinished(self.state)
            if not (isinstance(deed, decide.Launch) and deed.worker in self._intakes)
        )

    def _note_set_up(self, worker: str, now: float) -> None:
        """Note that a worktree needs no set-up: it was done, and nothing that it depends on has changed since."""
        waits = isinstance(self.state.workers[worker].phase, Waiting)
        wanted = self.state.spec.worker(worker).setup and not self.state.workers[worker].set_up
        if waits and wanted and is_set_up(self._race, worker):
            self._journal.note(ev.SetupSkipped(now, worker))

    def _give_up(self, worker: str, phase: Launching | Running | Stopping) -> None:
        """Somebody removed the folder of an attempt: nothing can be learnt of it any more."""
        process = "" if isinstance(phase, Launching) else f"; process {phase.pid} may still run"
        words = f"its folder is gone{process}"
        now = self._clock.now()
        self._journal.note(
            ev.WorkerExited(now, worker, phase.attempt, None, None, known=False, last_words=words)
        )

    def _warm_up(self) -> None:
        """Import what judging and the end need while the workers start.

        The first check should not wait for it, nor should the end of a long race find another version on the disk.
        """
        from wtrace.supervisor import merging, proof  # noqa: F401

        referee.warm_up(self.state.spec.success)
        gc.collect()
        gc.freeze()  # what stays to the end is not looked through again, least of all while losers are to be told

    def _foresee_conflicts(self) -> None:
        """Told while there is time to do something about it. The workers start meanwhile."""
        commits = {name: place.commit for name, place in self._race.places.items()}
        for forecast in merge_outlook(self._race.root, self.state.spec, commits):
            if not forecast.clean:
                self._journal.note(
                    ev.Noticed(self._clock.now(), forecast.worker, f"if it wins, it {forecast.words}")
                )

    def _wait(self) -> set[Path]:
        if self._stuck_since is not None:
            time.sleep(TRY_AGAIN_AFTER_S)  # what is reported meanwhile waits in its files, not in our memory
            return set()
        now = self._clock.now()
        times = [
            self._asks_at,
            self._journal.views_due(),
            self._pages.due(),
            self._agents.due(now),
            now if self._unread or self._journal.has_news else None,
            None if self._watcher.poll_every_s is None else now + self._watcher.poll_every_s,
            now + TRY_AGAIN_AFTER_S if self._postponed or self._hindered() else None,
            self._room.due(now),
        ]
        due = min(time for time in times if time is not None)
        rested_at = self._rested_at()
        if due > now:
            self._selector.select(None if due == inf else due - now)
            time.sleep(max(0.0, rested_at - time.monotonic()))
        self._woken = time.monotonic()
        return self._watcher.changed()

    def _rested_at(self) -> float:
        """Until when (monotonic) to wait for more, where something happens all the time; a quiet moment costs no time."""
        ended = time.monotonic()
        return ended + min(MOST_REST_S, REST * (ended - self._woken))

    def _turn(self, changed: set[Path], *, everything: bool = False) -> None:
        now = self._clock.now()
        if self._stuck_since is None:
            self._observe(now, changed, everything=everything)
            self._settle(now)
        if self._store(now):
            self._act(now)
            self._pages.write(now)
            self._notify(now)
            self._agents.tend(now)

    def _observe(self, now: float, changed: set[Path], *, everything: bool) -> None:
        changed |= self._runner.news()
        for folder in self._runner.lost():
            log.warning("%s is lost: nobody guards it any more", folder)
            changed.add(folder)
            if (owner := self._watching.owner(folder)) is not None:
                self._intakes[owner].is_lost = True
        again, self._unread = self._unread | self._hindered(), set()
        names = {self._watching.owner(path) for path in changed} | again
        # In the order of the config: what changed in one turn of the loop has no other order that can be known.
        for name in [name for name in self._intakes if everything or name in names]:
            # An exit appears in the attempt's folder, which is watched too; to look for it at every line is dear.
            may_have_ended = everything or name in again or self._intakes[name].folder in changed
            self._read(name, now, may_have_ended=may_have_ended)
        if everything or self._layout.requests in changed:
            self._take_requests(now)

    def _read(self, name: str, now: float, *, may_have_ended: bool) -> None:
        intake = self._intakes[name]
        if intake.done:
            return
        try:
            if intake.is_translated:
                self._watching.watch_again(intake.sources)  # before reading: what comes after it is told
        except ToolError:
            pass  # said below, if it stays so
        if intake.read(now, may_have_ended=may_have_ended):
            self._unread.add(name)
        if intake.is_translated and not intake.done:
            self._follow_sources(name, intake, now)

    def _follow_sources(self, name: str, intake: AnyIntake, now: float) -> None:
        try:
            if self._watching.follow_sources(name, intake):
                self._unread.add(name)
        except ToolError as error:
            self._journal.note(ev.Noticed(now, name, f"{error}: its metrics may be seen late"))

    def _take_requests(self, now: float) -> None:
        self._watch_requests()
        for path in pending_requests(self._layout.requests):
            if path in self._taken:
                continue
            for event in events_of_request(path, self.state, now):
                self._journal.note(event)
                if isinstance(event, ev.WorkerPaused | ev.WorkerUnpaused):
                    self._deeds.append(event)
            self._taken.append(path)

    def _settle(self, now: float) -> None:
        """Note what follows by rule, and what is about to be done."""
        if self._settled == self._journal.asked and now < self._asks_at and self._room.due(now) is None:
            return
        self._settled = self._journal.asked
        while (fact := decide.conclude(self.state, now)) is not None:
            self._journal.note(fact)
        room = self._room.look(now)
        for action in decide.decide(self.state, now, room):
            event = decide.intent(action, now)
            if event is not None:
                self._journal.note(event)
            self._deeds.append(action)
        self._room.tell(now, room)
        deadline = decide.next_deadline(self.state, now)
        self._asks_at = inf if deadline is None else deadline

    def _store(self, now: float) -> bool:
        """Store the turn. Where the disk does not let us, nothing is done and the next turn tries again."""
        try:
            with points.around("commit"):
                self._journal.commit(now, rows_later=self._is_awaited())
        except sqlite3.Error as error:
            if self._stuck_since is None:
                self._stuck_since = now
                text = f"the race cannot be recorded ({error}); the trainings go on, trying again"
                self._journal.writer.tell_trouble(now, text)
                log.error(text)
            return False
        if self._stuck_since is not None:
            text = f"the race is recorded again; for {now - self._stuck_since:.0f} s it could not be"
            self._journal.writer.end_trouble()
            self._journal.note(ev.Noticed(now, None, text))
            log.warning(text)
            self._stuck_since = None
        for path in self._taken:
            path.unlink(missing_ok=True)
        self._taken.clear()
        return True

    def _is_awaited(self) -> bool:
        """Whether signals wait for this turn to be stored, and another turn follows that stores the rows."""
        return self.state.outcome is None and any(isinstance(deed, decide.Stop) for deed in self._deeds)

    def _act(self, now: float) -> None:
        deeds, self._deeds, self._postponed = [*self._postponed, *self._deeds], [], []
        stops = [deed for deed in deeds if isinstance(deed, decide.Stop)]
        if stops:
            with points.around("signal"):
                self._runner.stop_all([self._layout.attempt(stop.worker, stop.attempt) for stop in stops])
        for deed in deeds:
            self._carry_out(deed, now)

    def let_agents_finish(self) -> None:
        """The race is closed: what mirrors it sends the rest and leaves by itself."""
        self._agents.stop()

    def _notify(self, now: float) -> None:
        told = self._journal.take_told()
        if any(isinstance(event, ev.VerdictReached) for event in told):
            self._agents.hurry()
        if told and self._race.spec.notify_urls:
            self._courier.post(notices_of(told, self._journal.standing(now)))

    def _carry_out(self, deed: Deed, now: float) -> None:
        match deed:
            case decide.Launch(worker, attempt, grant):
                self._launch(worker, attempt, grant, now)
            case decide.SetUp(worker, step, grant):
                self._set_up(worker, step, grant, now)
            case decide.StopSetup(worker, step):
                with points.around("signal"):
                    self._runner.stop(self._layout.setup(worker, step))
            case decide.Kill(worker, attempt):
                with points.around("signal"):
                    self._runner.kill(self._layout.attempt(worker, attempt))
            case decide.MakeHybrid(worker):
                self._make_hybrid(worker, now)
            case decide.Confirm(number, attempt, _):
                self._confirm(number, attempt, now)
            case decide.KillConfirmation(number, attempt):
                with points.around("signal"):
                    self._runner.kill(self._layout.confirmation(number, attempt))
            case ev.WorkerPaused() | ev.WorkerUnpaused():
                change = self._runner.pause if isinstance(deed, ev.WorkerPaused) else self._runner.unpause
                with points.around("signal"):
                    change(self._current_attempt(deed.worker))
            case decide.Stop():
                pass  # all at once, before everything else

    def _current_attempt(self, worker: str) -> Path:
        phase = self.state.workers[worker].phase
        return self._layout.attempt(worker, 0 if isinstance(phase, Waiting | SettingUp) else phase.attempt)

    def _set_up(self, worker: str, step: int, grant: Grant | None, now: float) -> None:
        """Start a command that prepares the worktree."""
        begun = self._runner.started(self._layout.setup(worker, step)) is not None
        if not begun and self.state.is_over_for(worker):
            problem = "not started: the race is over for it"
            self._journal.note(ev.SetupEnded(now, worker, step, None, None, known=False, problem=problem))
            return
        try:
            launch = prepare_setup(self._race, worker, step, os.environ, grant)
            intake = SetupIntake(self._journal, self._runner, self._race, worker, step)
            self._follow(f"setup {worker}", intake)
            with points.around("spawn"):
                self._runner.start(launch)
        except (OSError, ToolError) as error:
            if may_pass(error) and not self.state.is_over_for(worker):
                self._postpone(decide.SetUp(worker, step, grant), now, error)
                return
            problem = f"it could not be started: {error}"
            self._journal.note(ev.SetupEnded(now, worker, step, None, None, known=False, problem=problem))

    def _launch(self, worker: str, attempt: int, grant: Grant | None, now: float) -> None:
        try:
            launch = prepare_attempt(self._race, worker, attempt, grant)
            self._follow_worker(worker, attempt)
            with points.around("spawn"):
                self._runner.start(launch)
        except (OSError, ToolError) as error:
            if may_pass(error) and not self.state.is_over_for(worker):
                self._postpone(decide.Launch(worker, attempt, grant), now, error)
                return
            reason = f"could not be started: {error}"
            log.error("%s %s", worker, reason)
            self._journal.note(ev.WorkerExited(now, worker, attempt, None, None, known=False, reason=reason))

    def _make_hybrid(self, worker: str, now: float) -> None:
        """Nobody else runs who could be kept waiting by git."""
        if self.state.workers[worker].merged or not isinstance(self.state.workers[worker].phase, Waiting):
            return
        try:
            place, note = hybrids.make(self._race, worker, self.state.judge_files)
        except hybrids.HybridError as error:
            self._journal.note(ev.HybridFailed(now, worker, str(error)))
            return
        self._race.places[worker] = place
        self._journal.note(ev.HybridMade(now, worker, place.commit, place.worktree, note))
        self._note_set_up(worker, now)

    def _confirm(self, number: int, attempt: int, now: float) -> None:
        """Freeze the claim's checkpoint if that has not been done, and start its confirmation."""
        claim = self.state.claims[number - 1]
        try:
            if claim.frozen is None:
                output = self._layout.output(claim.worker)
                with points.around("freeze"):
                    copy, digest = freeze(output, claim.checkpoint, self._layout.claim(number))
                self._journal.note(ev.CheckpointFrozen(now, number, str(copy), digest))
                claim = self.state.claims[number - 1]
            grant = self.state.workers[claim.worker].grant
            launch = prepare_confirmation(self._race, claim, attempt, os.environ, grant)
            intake = ConfirmationIntake(self._journal, self._runner, launch.folder, claim, attempt)
            self._follow(f"claim {number}", intake)
            with points.around("confirmation-start"):
                self._runner.start(launch)
        except (OSError, ToolError, FreezeError) as error:
            if may_pass(error) and not self.state.is_over_for(claim.worker):
                self._postpone(decide.Confirm(number, attempt, claim.worker), now, error)
                return
            problem = f"it could not be started: {error}"
            self._journal.note(ev.ConfirmationEnded(now, number, attempt, claim.worker, problem=problem))

    def _postpone(
        self, deed: decide.Launch | decide.SetUp | decide.Confirm, now: float, error: Exception
    ) -> None:
        """The disk does not let us do this now: try again until it does."""
        self._postponed.append(deed)
        if deed not in self._waits_told:
            self._waits_told.add(deed)
            self._journal.note(ev.Noticed(now, deed.worker, f"waits for the disk: {error}"))

    def _follow_worker(self, worker: str, attempt: int) -> None:
        folder = self._layout.attempt(worker, attempt)
        intake = Intake(
            self._journal,
            self._runner,
            folder,
            worktree=Path(self._race.places[worker].worktree),
            output=self._layout.output(worker),
            worker=worker,
            attempt=attempt,
            since=self._positions.get((worker, attempt)),
            translation=translating.translation_of(self._race, worker, folder),
        )
        self._follow(worker, intake)

    def _follow(self, key: str, intake: AnyIntake) -> None:
        self._unfollow(key)
        self._intakes[key] = intake
        self._watching.follow(key, intake)
        self._unread.add(key)

    def _hindered(self) -> set[str]:
        return {name for name, intake in self._intakes.items() if not intake.done and intake.hindered}

    def _unfollow(self, key: str) -> None:
        intake = self._intakes.pop(key, None)
        if intake is not None:
            intake.close()
            self._watching.unfollow(key)
