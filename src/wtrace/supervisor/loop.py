"""The loop of a race: wait for something to happen, take note, decide, act. One thread, no polling.

The order within a turn is what the promises rest on. All that was seen, what follows from it, and what is
about to be done are stored in one transaction; only then is anything done. After a crash the next supervisor
finds either nothing or the whole turn, and doing the recorded deeds again does no harm.
"""

from __future__ import annotations

import gc
import logging
import selectors
import sqlite3
import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.judging import referee
from wtrace.metrics.watcher import make_watcher
from wtrace.publish.notify.notices import notices_of
from wtrace.publish.notify.sender import Courier
from wtrace.race import events as ev
from wtrace.race import policy
from wtrace.race.phases import Ended, Launching, Retrying, Running, SettingUp, Stopping, Waiting
from wtrace.race.rehearsal import rehearse
from wtrace.store import codec
from wtrace.supervisor import failpoints
from wtrace.supervisor.agents import Agents
from wtrace.supervisor.checkpoints.freezing import Freezer
from wtrace.supervisor.checkpoints.settling import Settler
from wtrace.supervisor.daemon import hand_nothing_on, remove_drafts, reserve_files
from wtrace.supervisor.executor import Deeds
from wtrace.supervisor.jobs.setup import note_set_up
from wtrace.supervisor.jobs.watch import Following, RoomWatch
from wtrace.supervisor.merging import merge_outlook
from wtrace.supervisor.publishing.pages import Pages
from wtrace.supervisor.publishing.redacting import redaction_for
from wtrace.supervisor.requests import events_of_request, pending_requests, put_aside, read_request, remove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.publish.dashboard.curves import Curves
    from wtrace.race.context import RaceContext
    from wtrace.race.state import State
    from wtrace.runners.base import Runner
    from wtrace.store.reader import StoredPosition
    from wtrace.supervisor.clock import Clock
    from wtrace.supervisor.journal import Journal

log = logging.getLogger("wtrace")

TRY_AGAIN_AFTER_S = 1.0
LEAST_SLEEP_S = 1.0  # of the machine; less makes no difference to anybody
REST = 9  # after a turn the loop leaves the processor to the trainings for so many times as long,
MOST_REST_S = 0.05  # but no longer; what comes meanwhile is taken together


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
        self._watcher = make_watcher()
        self._selector = selectors.DefaultSelector()
        self._following = Following(race, journal, runner, self._watcher, positions)
        self._freezer = Freezer(race, journal, runner, clock)
        self._deeds = Deeds(race, journal, runner, self._following, self._freezer)
        self._taken: list[Path] = []  # requests that may be deleted once they are stored
        self._pages = Pages(race, journal, curves)
        self._agents = Agents(
            race.root, race.id, race.layout.folder, [target.name for target in race.spec.sync]
        )
        self._courier = Courier(race.spec.notify_urls, race.layout.log)
        self._woken = 0.0  # monotonic: when the latest turn began
        self._policy_ran_at_event = -1  # how many events had been noted when the policy last ran
        self._next_deadline = -inf  # when it runs again although nothing happened (seconds since 1970)
        self._stuck_since: float | None = None
        self._room = RoomWatch(journal)
        self._settler = Settler(race, journal, runner)

    @property
    def state(self) -> State:
        """The race as it stands."""
        return self._journal.state

    def run(self) -> State:
        """Supervise until the race has ended and everything about it is stored."""
        for readable in (self._watcher.fileno(), self._runner.fileno(), self._freezer.fileno()):
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
                    note_set_up(self._race, self._journal, spec.name, self._clock.now())
            self._turn(set(), everything=True)
            self._warm_up()
            self._foresee_conflicts()
            while self._goes_on():
                self._turn(self._wait())
        finally:
            self._freezer.close()
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
            self._following.follow_worker(name, phase.attempt)
            self._runner.adopt(folder)
            if isinstance(phase, Running):  # told to, but perhaps not done
                change = ev.WorkerPaused if phase.paused else ev.WorkerUnpaused
                self._deeds.ask(change(phase.since, name))
        for deed in policy.unfinished(self.state):
            if not (isinstance(deed, policy.Launch) and deed.worker in self._following):
                self._deeds.ask(deed)

    def _give_up(self, worker: str, phase: Launching | Running | Stopping) -> None:
        """Somebody removed the folder of an attempt: nothing can be learnt of it any more."""
        process = "" if isinstance(phase, Launching) else f"; process {phase.pid} may still run"
        words = f"its folder is gone{process}"
        now = self._clock.now()
        self._journal.note(
            ev.WorkerExited(now, worker, phase.attempt, None, None, known=False, last_words=words)
        )

    def _warm_up(self) -> None:
        """Import what judging and the end need while the workers start, and do once what takes longer the first time.

        The first check should not wait for it, nor should the end of a long race find another version on the disk.
        """
        from wtrace.supervisor import merging  # noqa: F401
        from wtrace.supervisor.publishing import report  # noqa: F401

        referee.warm_up(self.state.spec.success)
        for event in rehearse(self.state, self._clock.now()):
            codec.encode(event)
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
            self._next_deadline,
            self._journal.views_due(),
            self._pages.due(),
            self._agents.due(now),
            now if self._following.has_more or self._journal.has_news else None,
            None if self._watcher.poll_every_s is None else now + self._watcher.poll_every_s,
            now + TRY_AGAIN_AFTER_S if self._deeds.are_postponed or self._following.hindered else None,
            self._room.due(now),
            self._following.due(),
            self._settler.due(),
            self._freezer.due(),
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
            self._deeds.carry_out(now)
            self._settler.look(now)
            self._freezer.tend(now, all_read=not self._following.has_more)
            self._pages.write(now)
            self._notify(now)
            self._agents.tend(now)

    def _observe(self, now: float, changed: set[Path], *, everything: bool) -> None:
        slept_s = self._clock.slept_s()
        if slept_s >= LEAST_SLEEP_S:
            self._journal.note(ev.MachineSlept(now, slept_s))
        self._following.read(now, changed, everything=everything)
        self._settler.tell_killed(now)
        if everything or self._layout.requests in changed:
            self._take_requests(now)

    def _take_requests(self, now: float) -> None:
        self._watch_requests()
        for path in pending_requests(self._layout.requests):
            if path in self._taken:
                continue
            request = read_request(path)
            if request is None:
                self._journal.note(ev.Noticed(now, None, put_aside(path)))
                self._taken.append(path)  # where it could not be moved, it is told of once all the same
                continue
            for event in events_of_request(request, self.state, now):
                self._journal.note(event)
                if isinstance(event, ev.WorkerPaused | ev.WorkerUnpaused):
                    self._deeds.ask(event)
            self._taken.append(path)

    def _settle(self, now: float) -> None:
        """Note what follows by rule, and what is about to be done."""
        if (
            self._policy_ran_at_event == self._journal.policy_events
            and now < self._next_deadline
            and self._room.due(now) is None
        ):
            return
        self._policy_ran_at_event = self._journal.policy_events
        while (fact := policy.conclude(self.state, now)) is not None:
            self._journal.note(fact)
        room = self._room.look(now)
        for action in policy.decide(self.state, now, room):
            event = policy.intent(action, now)
            if event is not None:
                self._journal.note(event)
            self._deeds.ask(action)
        self._room.tell(now, room)
        deadline = policy.next_deadline(self.state, now)
        self._next_deadline = inf if deadline is None else deadline

    def _store(self, now: float) -> bool:
        """Store the turn. Where the disk does not let us, nothing is done and the next turn tries again."""
        try:
            with failpoints.around("commit"):
                # Rows that come later need another turn, and there is none after the end.
                awaited = self._deeds.end_somebody and self.state.outcome is None
                self._journal.commit(now, rows_later=awaited)
        except sqlite3.Error as error:
            self._settler.let_go()
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
        self._taken = [path for path in self._taken if not remove(path)]
        return True

    def let_agents_finish(self) -> None:
        """The race is closed: what mirrors it sends the rest and leaves by itself."""
        self._agents.stop()

    def _notify(self, now: float) -> None:
        told = self._journal.take_told()
        if any(isinstance(event, ev.VerdictReached) for event in told):
            self._agents.hurry()
        if told and self._race.spec.notify_urls:
            standing = redaction_for(self._race).standing(self._journal.standing(now))
            self._courier.post(notices_of(told, standing))
