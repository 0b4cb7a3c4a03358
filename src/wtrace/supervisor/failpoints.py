"""Named moments of the supervisor's work, at which a test can kill it or hold it up. Nothing happens there otherwise."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "WTRACE_TEST_POINTS"
"""`POINT:N:kill` or `POINT:N:SECONDS`, with blanks between: what happens when a point is reached for the N-th time."""

DEEDS = (
    "commit",  # a turn is stored
    "spawn",  # a worker is started
    "signal",  # workers are ended, halted or let go on
    "claim",  # a claim is noted
    "freeze",  # its checkpoint is copied
    "copy-appears",  # the copy is whole, and gets its name
    "frozen",  # that is noted
    "confirmation-start",
    "confirmation-end",  # its end is noted
    "verdict",  # it is noted
    "drain",  # an exit was seen, and the last lines are read
    "report",
    "page",  # the last progress page is written
    "close",  # the race is told to be over
)
NAMES = tuple(f"{when}-{deed}" for deed in DEEDS for when in ("before", "after"))


def _parse(text: str) -> dict[tuple[str, int], str]:
    asked = {}
    for word in text.split():
        name, nth, what = word.split(":")
        if name not in NAMES:
            raise ValueError(f"{VARIABLE}: there is no point {name}")
        asked[name, int(nth)] = what
    return asked


_asked = _parse(os.environ.get(VARIABLE, ""))
_reached: Counter[str] = Counter()


@contextlib.contextmanager
def around(deed: str) -> Iterator[None]:
    """The points before and after a deed; the second is not reached when the deed fails."""
    reach(f"before-{deed}")
    yield
    reach(f"after-{deed}")


def reach(name: str) -> None:
    """The supervisor has come to this point."""
    if _asked:
        _reached[name] += 1
        _obey(_asked.get((name, _reached[name])))


def _obey(what: str | None) -> None:
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what is not None:
        time.sleep(float(what))
