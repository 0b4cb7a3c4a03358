"""`python -m wtrace.supervisor.sync_agent ROOT RACE_ID TARGET`: the process that keeps one target's mirror.

It ends by itself once the race is closed and everything has arrived; SIGTERM ends it at once, with its ssh.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config import load
from wtrace.errors import WtraceError
from wtrace.files import write_atomically
from wtrace.metrics.watcher import make_watcher
from wtrace.mirror import target_state
from wtrace.mirror.agent import Agent, Facts
from wtrace.mirror.connection import Connection
from wtrace.mirror.push import Push
from wtrace.mirror.target import resolve
from wtrace.race.paths import Layout
from wtrace.store import home
from wtrace.store.reader import Reader
from wtrace.supervisor.checkpoints.whole import Wholeness
from wtrace.supervisor.create import recall
from wtrace.supervisor.publishing.redacting import redact_log, redaction_in, start_log

if TYPE_CHECKING:
    from typing import Self

    from wtrace.race.paths import RaceLayout
    from wtrace.race.status import Standing

log = logging.getLogger("wtrace.mirror")

NICENESS = 10
RUNNING, DECIDED, CLOSED = "running", "decided", "closed"
CLOSING_EVERY_S = 0.5
"""Between the verdict and the closing of the race the database is asked this often: it is a matter of seconds."""


class RaceFacts:
    """What the database says about the race, and whether its supervisor still lives."""

    def __init__(self, layout: Layout, race_id: str) -> None:
        self._layout = layout
        self._race_id = race_id
        self._parent = os.getppid()
        self.acted_on = ""
        self._left_out: tuple[str, ...] | None = None  # of the winner's output, once the race is closed

    def __call__(self) -> Facts:
        """Read anew, for the agent to act on."""
        facts, self.acted_on = self.look()
        return facts

    def look(self) -> tuple[Facts, str]:
        """Read anew; also what the race has come to, in one word that changes when there is something to tell."""
        orphaned = not self._is_supervised()  # before the database: a supervisor closes the race, then leaves
        with Reader(self._layout.database) as reader:
            closed = reader.closed(self._race_id) is not None
            standing = reader.standing(self._race_id)
            races = reader.races()
        ids = [race.id for race in races]
        later = races[ids.index(self._race_id) + 1 :] if self._race_id in ids else []
        superseded = standing is None or any(race.name == standing.name for race in later)
        output = self._output_of(standing)
        left_out = (
            self._doubtful(standing.winner) if closed and output and standing and standing.winner else ()
        )
        facts = Facts(closed, orphaned and not closed, superseded, output, left_out)
        if closed or facts.abandoned or superseded:
            return facts, CLOSED
        decided = standing is not None and (standing.decided or standing.ended) is not None
        return facts, DECIDED if decided else RUNNING

    def _doubtful(self, winner: str) -> tuple[str, ...]:
        if self._left_out is None:
            race, _, _ = recall(self._layout, self._race_id)
            doubts = Wholeness(race, self._layout).doubts(winner)
            for name, why in doubts.items():
                log.warning("%s is not sent: %s", name, why)
            self._left_out = tuple(doubts)
        return self._left_out

    def _is_supervised(self) -> bool:
        """Whether the supervisor that started this agent is there: another one starts its own."""
        if os.getppid() != self._parent or not home.is_locked(self._layout):
            return False
        return home.who_holds(self._layout) == self._race_id

    def _output_of(self, standing: Standing | None) -> Path | None:
        if standing is None or standing.winner is None:
            return None
        output = self._layout.race(self._race_id).output(standing.winner)
        return output if output.is_dir() else None


class Alarm:
    """Waits for a time, for SIGUSR1, and for what a laptop should know at once: the verdict and the end."""

    def __init__(self, race: RaceLayout, facts: RaceFacts) -> None:
        self._facts = facts
        self._bell, self._rung = socket.socketpair()
        for end in (self._bell, self._rung):
            end.setblocking(False)
        signal.set_wakeup_fd(self._rung.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        self._watcher = make_watcher()
        self._watcher.watch_folder(race.results)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        if (descriptor := self._watcher.fileno()) is not None:
            self._selector.register(descriptor, selectors.EVENT_READ)

    def __call__(self, until: float) -> None:
        """Return at that time, or earlier when there is something to tell at once."""
        while (left_s := until - time.time()) > 0 and not self._was_rung():
            _, stage = self._facts.look()
            if stage != self._facts.acted_on:
                return
            look_s = CLOSING_EVERY_S if stage == DECIDED else self._watcher.poll_every_s
            self._selector.select(left_s if look_s is None else min(left_s, look_s))
            self._watcher.changed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everything; SIGUSR1 goes nowhere from now on."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._watcher.close()
        self._bell.close()
        self._rung.close()

    def _was_rung(self) -> bool:
        try:
            return bool(self._bell.recv(4096))
        except BlockingIOError:
            return False


def keep_mirror(root: Path, race_id: str, name: str) -> None:
    """Keep that target's mirror to the end. A target that cannot be used is told in its state, and given up."""
    layout = Layout(root)
    race = layout.race(race_id)
    file = target_state.state_file(race.folder, name)
    file.parent.mkdir(mode=0o700, exist_ok=True)

    def tell(state: target_state.TargetState) -> None:
        write_atomically(file, target_state.encode(state))

    try:
        spec = load.parse(race.config.read_text(encoding="utf-8"), source=str(race.config), recorded=True)
        redact_log(redaction_in(root, spec))
        target = resolve(next(each for each in spec.sync if each.name == name), spec.name, root)
    except WtraceError as error:
        tell(target_state.TargetState(name, stage="given up", error=error.what, hint=error.hint))
        return
    facts = RaceFacts(layout, race_id)
    with Connection(target) as connection, Alarm(race, facts) as alarm:
        push = Push(connection, race_id, race.results)
        Agent(target, push, facts, alarm, tell, before=target_state.read_state(file)).run()


def main() -> None:
    """The agent's process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # through every `finally`
    start_log()
    os.nice(NICENESS)  # the trainings come first
    keep_mirror(Path(sys.argv[1]), sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main()
