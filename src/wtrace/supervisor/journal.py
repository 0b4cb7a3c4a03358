"""The state of the race and its record on disk, kept in step."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from wtrace.config.schedule import divisor
from wtrace.judging import referee
from wtrace.race import policy, view
from wtrace.race.events import CheckpointFrozen, ClaimMade, ConfirmationEnded, LinesRead, VerdictReached
from wtrace.race.reduce import evolve
from wtrace.supervisor import failpoints

if TYPE_CHECKING:
    from wtrace.race.context import RaceContext
    from wtrace.race.events import Event
    from wtrace.race.state import State, Worker
    from wtrace.race.status import Standing, WorkerStanding
    from wtrace.store.writer import Writer

VIEWS_EVERY_S = 0.25
"""Rows of which only counters changed are rewritten at most this often."""

_MOMENTS = {
    ClaimMade: "claim",
    CheckpointFrozen: "frozen",
    ConfirmationEnded: "confirmation-end",
    VerdictReached: "verdict",
}


class Journal:
    """Takes note of events: evolves the state and collects what is to be stored. `commit` stores it."""

    def __init__(self, race: RaceContext, state: State, writer: Writer) -> None:
        self.state = state
        self.writer = writer
        self.divisor = divisor(state.spec)
        self.policy_events = 0
        """How many events were noted that may change what the policy concludes or decides."""
        self._race = race
        self._criteria = referee.criteria_info(state.spec.success, self.divisor)
        self._rows: dict[str, tuple[Worker, tuple[object, object], WorkerStanding]] = {}
        self._stored: dict[str, WorkerStanding] = {}
        self._seen: dict[str, Worker] = {}  # as they were when their rows were stored
        self._urgent = True
        self._told: list[Event] = []
        self._views_written = float("-inf")

    def note(self, event: Event) -> None:
        """Let the event change the state, and keep it. Lines are kept as a file's position instead."""
        moment = _MOMENTS.get(type(event))
        with failpoints.around(moment) if moment else nullcontext():
            self._note(event)

    def _note(self, event: Event) -> None:
        self.policy_events += policy.may_change_policy(self.state, event)
        self.state = evolve(self.state, event)
        if not isinstance(event, LinesRead):
            self.writer.add_event(event)
            self._told.append(event)
            self._urgent = True

    @property
    def has_news(self) -> bool:
        """Whether something was noted that has not been stored: what a deed brought about, for one."""
        return self._urgent

    def take_told(self) -> list[Event]:
        """The events since the last call, in order: for whoever tells others of them."""
        told, self._told = self._told, []
        return told

    def standing(self, at: float) -> Standing:
        """Where the race stands at `at`."""
        rows = tuple(self._row(name) for name in self.state.workers)
        return view.race_standing(self.state, self._race.id, rows, self._criteria, at)

    def commit(self, now: float, *, rows_later: bool = False) -> None:
        """Store all that was noted, and the rows that changed. sqlite3.Error: nothing is lost, try again.

        `rows_later`: only what was noted, from which the rows follow; somebody waits for it to be stored.
        """
        # Rows that come later are still news: the next turn comes at once.
        if not rows_later and (self._urgent or now >= self._views_written + VIEWS_EVERY_S):
            self._add_views(now)
        self.writer.commit()

    def views_due(self) -> float | None:
        """When rows that may have changed should be stored (seconds since 1970), or None when all are."""
        changed = any(self._seen.get(name) is not worker for name, worker in self.state.workers.items())
        return self._views_written + VIEWS_EVERY_S if changed else None

    def _add_views(self, now: float) -> None:
        self._seen.update(self.state.workers)
        for position, name in enumerate(self.state.workers):
            row = self._row(name)
            if self._stored.get(name) is not row:
                self.writer.set_worker(position, row)
                self._stored[name] = row
        if self._urgent:
            self.writer.set_race(self.standing(now))
        self._urgent = False
        self._views_written = now

    def _row(self, name: str) -> WorkerStanding:
        """The worker's row; the same object as long as the row says the same."""
        worker = self.state.workers[name]
        claims, verdict = (
            self.state.claims,
            self.state.verdict,
        )  # a row tells what became of its worker's claims
        known = self._rows.get(name)
        if known is not None and known[0] is worker and known[1][0] is claims and known[1][1] is verdict:
            return known[2]
        row = view.worker_standing(self.state, name, self._race.places[name])
        if known is not None and known[2] == row:
            row = known[2]
        self._rows[name] = (worker, (claims, verdict), row)
        return row
