"""A limit on the processor time of one piece of work: a regular expression can take for ever on a short line."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class TookTooLongError(Exception):
    """The work was broken off."""


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLongError inside of the block once this thread has computed for so long. In the main thread only.

    Python's `re` looks for signals while it searches, so that it can be broken off (Modules/_sre/sre_lib.h).
    """
    signal.signal(signal.SIGVTALRM, _break_off)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _break_off(_number: int, _frame: FrameType | None) -> None:
    raise TookTooLongError
