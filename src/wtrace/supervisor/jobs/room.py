"""The memory that is free right now, looked at while somebody waits for it: what others free makes no event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.race import events as ev
from wtrace.race import resources
from wtrace.race.policy import who_is_ready
from wtrace.race.scheduling import lack_of
from wtrace.runners.machine import look_for_room

if TYPE_CHECKING:
    from wtrace.race.resources import Room
    from wtrace.supervisor.journal import Journal

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
