"""What the rules ask for is done here: workers are started and ended, worktrees prepared, claims confirmed.

Each deed was recorded before; done again, it does no harm.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.race import events as ev
from wtrace.race import policy
from wtrace.race.phases import SettingUp, Waiting
from wtrace.supervisor import failpoints, hybrids
from wtrace.supervisor.jobs.confirmation import ConfirmationIntake, prepare_confirmation
from wtrace.supervisor.jobs.launch import may_pass, prepare_attempt
from wtrace.supervisor.jobs.setup import SetupIntake, note_set_up, prepare_setup

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.race.context import RaceContext
    from wtrace.race.resources import Grant
    from wtrace.race.state import State
    from wtrace.runners.base import Runner
    from wtrace.supervisor.checkpoints.freezing import Freezer
    from wtrace.supervisor.jobs.watch import Following
    from wtrace.supervisor.journal import Journal

log = logging.getLogger("wtrace")

Deed = policy.Action | ev.WorkerPaused | ev.WorkerUnpaused


class Deeds:
    """Collects what is to be done, and does it once that is stored."""

    def __init__(
        self, race: RaceContext, journal: Journal, runner: Runner, following: Following, freezer: Freezer
    ) -> None:
        self._race = race
        self._layout = race.layout
        self._journal = journal
        self._runner = runner
        self._following = following
        self._freezer = freezer
        self._asked: list[Deed] = []
        self._postponed: list[Deed] = []  # what the disk does not let us do yet
        self._waits_told: set[Deed] = set()

    def ask(self, deed: Deed) -> None:
        """To be done when this turn is stored."""
        self._asked.append(deed)

    @property
    def end_somebody(self) -> bool:
        """Whether signals wait for this turn to be stored."""
        return any(isinstance(deed, policy.Stop) for deed in self._asked)

    @property
    def are_postponed(self) -> bool:
        """Whether something is to be tried again."""
        return bool(self._postponed)

    def carry_out(self, now: float) -> None:
        """Do all that was asked for; whoever is to end is told first, all at once."""
        deeds, self._asked, self._postponed = [*self._postponed, *self._asked], [], []
        stops = [deed for deed in deeds if isinstance(deed, policy.Stop)]
        if stops:
            with failpoints.around("signal"):
                self._runner.stop_all([self._layout.attempt(stop.worker, stop.attempt) for stop in stops])
        for deed in deeds:
            self._carry_out(deed, now)

    @property
    def _state(self) -> State:
        return self._journal.state

    def _carry_out(self, deed: Deed, now: float) -> None:
        match deed:
            case policy.Launch(worker, attempt, grant):
                self._launch(worker, attempt, grant, now)
            case policy.SetUp(worker, step, grant):
                self._set_up(worker, step, grant, now)
            case policy.StopSetup(worker, step):
                with failpoints.around("signal"):
                    self._runner.stop(self._layout.setup(worker, step))
            case policy.Kill() | policy.KillConfirmation():
                self._kill(deed)
            case policy.MakeHybrid(worker):
                self._make_hybrid(worker, now)
            case policy.Freeze(number):
                self._freezer.begin(number)
            case policy.Confirm(number, attempt, _):
                self._confirm(number, attempt, now)
            case ev.WorkerPaused() | ev.WorkerUnpaused():
                change = self._runner.pause if isinstance(deed, ev.WorkerPaused) else self._runner.unpause
                with failpoints.around("signal"):
                    change(self._current_attempt(deed.worker))
            case policy.Stop():
                pass  # all at once, before everything else

    def _kill(self, deed: policy.Kill | policy.KillConfirmation) -> None:
        if isinstance(deed, policy.Kill):
            folder = self._layout.attempt(deed.worker, deed.attempt)
        else:
            folder = self._layout.confirmation(deed.number, deed.attempt)
        with failpoints.around("signal"):
            self._runner.kill(folder)

    def _current_attempt(self, worker: str) -> Path:
        phase = self._state.workers[worker].phase
        return self._layout.attempt(worker, 0 if isinstance(phase, Waiting | SettingUp) else phase.attempt)

    def _set_up(self, worker: str, step: int, grant: Grant | None, now: float) -> None:
        """Start a command that prepares the worktree."""
        begun = self._runner.started(self._layout.setup(worker, step)) is not None
        if not begun and self._state.is_over_for(worker):
            problem = "not started: the race is over for it"
            self._journal.note(ev.SetupEnded(now, worker, step, None, None, known=False, problem=problem))
            return
        try:
            launch = prepare_setup(self._race, worker, step, os.environ, grant)
            intake = SetupIntake(self._journal, self._runner, self._race, worker, step)
            self._following.follow(f"setup {worker}", intake)
            with failpoints.around("spawn"):
                self._runner.start(launch)
        except (OSError, ToolError) as error:
            if self._postpones(policy.SetUp(worker, step, grant), now, error):
                return
            problem = f"it could not be started: {error}"
            self._journal.note(ev.SetupEnded(now, worker, step, None, None, known=False, problem=problem))

    def _launch(self, worker: str, attempt: int, grant: Grant | None, now: float) -> None:
        try:
            launch = prepare_attempt(self._race, worker, attempt, grant)
            self._following.follow_worker(worker, attempt)
            with failpoints.around("spawn"):
                self._runner.start(launch)
        except (OSError, ToolError) as error:
            if self._postpones(policy.Launch(worker, attempt, grant), now, error):
                return
            reason = f"could not be started: {error}"
            log.error("%s %s", worker, reason)
            self._journal.note(ev.WorkerExited(now, worker, attempt, None, None, known=False, reason=reason))

    def _make_hybrid(self, worker: str, now: float) -> None:
        """Nobody else runs who could be kept waiting by git."""
        if self._state.workers[worker].merged or not isinstance(self._state.workers[worker].phase, Waiting):
            return
        try:
            place, note = hybrids.make(self._race, worker, self._state.judge_files)
        except hybrids.HybridError as error:
            self._journal.note(ev.HybridFailed(now, worker, str(error)))
            return
        self._race.places[worker] = place
        self._journal.note(ev.HybridMade(now, worker, place.commit, place.worktree, note))
        note_set_up(self._race, self._journal, worker, now)

    def _confirm(self, number: int, attempt: int, now: float) -> None:
        """Start a confirmation of the claim's frozen checkpoint."""
        claim = self._state.claims[number - 1]
        try:
            if claim.frozen is None:  # recorded by a version that froze it only now, and was killed before
                raise ToolError("its checkpoint had not been copied yet")
            grant = self._state.workers[claim.worker].grant
            launch = prepare_confirmation(self._race, claim, attempt, os.environ, grant)
            intake = ConfirmationIntake(self._journal, self._runner, launch.folder, claim, attempt)
            self._following.follow(f"claim {number}", intake)
            with failpoints.around("confirmation-start"):
                self._runner.start(launch)
        except (OSError, ToolError) as error:
            if self._postpones(policy.Confirm(number, attempt, claim.worker), now, error):
                return
            problem = f"it could not be started: {error}"
            self._journal.note(ev.ConfirmationEnded(now, number, attempt, claim.worker, problem=problem))

    def _postpones(
        self, deed: policy.Launch | policy.SetUp | policy.Confirm, now: float, error: Exception
    ) -> bool:
        """Whether only the disk does not let us do this now: then it is tried until it does."""
        if not may_pass(error) or self._state.is_over_for(deed.worker):
            return False
        self._postponed.append(deed)
        if deed not in self._waits_told:
            self._waits_told.add(deed)
            self._journal.note(ev.Noticed(now, deed.worker, f"waits for the disk: {error}"))
        return True
