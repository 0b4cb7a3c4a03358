"""A limit on the processor time of one piece of work: a regular expression can take for ever on a short line."""

from __future__ import annotations

import signal
from functools import cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType


class TookTooLongError(Exception):
    """The work was broken off."""


class CpuLimit:
    """Raises TookTooLongError inside of its block once this process has computed for so long. In the main thread only.

    Python's `re` looks for signals while it searches, so that it can be broken off (Modules/_sre/sre_lib.h).
    """

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> Self:
        _hear()
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@cache
def _hear() -> None:
    """Once: the signal means nothing else here."""
    signal.signal(signal.SIGVTALRM, _break_off)


def _break_off(_number: int, _frame: FrameType | None) -> None:
    raise TookTooLongError
