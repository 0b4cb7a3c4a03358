"""Keeps one target's mirror of one race: sends, waits, tries again, and tells in a file how it stands.

It runs in a process of its own beside the supervisor, which never waits for it. What it must know of the race, and
how it waits, is given to it.
"""

from __future__ import annotations

import logging
import os
import random
import time
from typing import TYPE_CHECKING, Protocol

from wtrace.data import data, replace
from wtrace.mirror.arrivals import in_words, left_here
from wtrace.mirror.errors import SyncError
from wtrace.mirror.target_state import LAST, TargetState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wtrace.mirror.push import Push
    from wtrace.mirror.target import Target

log = logging.getLogger("wtrace.mirror")

FIRST_DELAY_S, LONGEST_DELAY_S = 5.0, 300.0
PATIENCE_S = 24 * 3600.0
"""How long after the end of the race a target that does not answer is tried: a laptop may sleep over night."""


@data
class Facts:
    """What of the race matters here."""

    closed: bool = False  # its reports are written, nobody works on it any more
    abandoned: bool = False  # its supervisor is gone before that; the next one starts an agent anew
    superseded: bool = False  # a newer race of the same name has taken the target's folder
    winner_output: Path | None = None
    winner_left_out: tuple[str, ...] = ()  # files in it that may not be whole


class Waits(Protocol):
    """How the agent waits."""

    def __call__(self, until: float) -> None:
        """Return at that time (seconds since 1970), or earlier when there is something to tell at once."""


class Agent:
    """One target's mirror, kept until the race is closed and everything about it has arrived."""

    def __init__(
        self,
        target: Target,
        push: Push,
        facts: Callable[[], Facts],
        wait: Waits,
        tell: Callable[[TargetState], None],
        *,
        before: TargetState | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`tell` stores the state; `before` is the one that an earlier agent of this target left."""
        self._target = target
        self._push = push
        self._facts = facts
        self._wait = wait
        self._tell = tell
        self._patience_s = patience_s
        last = None if before is None else before.last_reached
        self._state = TargetState(target.name, target.host, last_reached=last, pid=os.getpid())
        self._closed_at: float | None = None

    def run(self) -> TargetState:
        """Send again and again; returns how it ended."""
        while True:
            facts = self._facts()  # read before it is sent: what is told as closed is then sent whole
            began = time.time()
            self._note(replace(self._state, stage="sending", next_try=None))
            state = self._outcome(facts)
            if facts.abandoned or state.stage in LAST:
                self._note(state)
                return state
            until = (
                began + self._target.every_s
                if not state.tries
                else time.time() + backoff_s(state.tries, self._target.every_s)
            )
            self._note(replace(state, next_try=until))
            self._wait(until)

    def _outcome(self, facts: Facts) -> TargetState:
        """Send what is due; returns the state that this leads to."""
        try:
            verified = self._send(facts)
        except SyncError as error:
            return self._failed(error, facts)
        if self._state.tries:
            log.info("%s is reached again after %d tries", self._target.name, self._state.tries)
        now = time.time()
        return TargetState(
            self._target.name,
            self._target.host,
            stage="delivered" if facts.closed else "waiting",
            last_reached=now,
            verified=now if verified else None,
            pid=os.getpid(),
        )

    def _send(self, facts: Facts) -> bool:
        """Progress, and at the end the results; True when they were checked."""
        if facts.superseded:
            raise SyncError("a newer race of this name has taken its folder")
        self._push.progress()
        if not (facts.closed and self._target.results):
            return False
        self._push.results()
        if facts.winner_output is not None:
            self._push.winner(facts.winner_output, facts.winner_left_out)
            if (left_out := in_words(left_here(facts.winner_output))) is not None:
                log.info("%s: %s", self._target.name, left_out)
        self._push.verify(facts.winner_output, facts.winner_left_out)
        return True

    def _failed(self, error: SyncError, facts: Facts) -> TargetState:
        now = time.time()
        if self._state.error != error.what:
            log.warning("%s: %s (%s)", self._target.name, error.what, error.seen)
        if facts.closed and self._closed_at is None:
            self._closed_at = now
        impatient = self._closed_at is not None and now > self._closed_at + self._patience_s
        return replace(
            self._state,
            stage="given up" if impatient or facts.superseded else "trying again",
            error=error.what,
            hint=error.hint,
            seen=error.seen,
            failing_since=self._state.failing_since or now,
            tries=self._state.tries + 1,
        )

    def _note(self, state: TargetState) -> None:
        self._state = state
        try:
            self._tell(state)
        except OSError as error:
            log.warning("the state of %s cannot be stored: %s", self._target.name, error)


def backoff_s(tries: int, most_s: float = LONGEST_DELAY_S) -> float:
    """The delay after so many failures in a row: doubling from 5 s to at most `most_s`, a quarter of it by chance.

    By chance, so that several targets behind one line that comes back do not all begin at once.
    """
    delay_s: float = min(
        FIRST_DELAY_S * 2.0 ** min(tries - 1, 16), max(FIRST_DELAY_S, most_s), LONGEST_DELAY_S
    )
    return delay_s * random.uniform(0.75, 1.25)
