"""The time of day that does not jump: read once, then carried on by a steady clock."""

from __future__ import annotations

import time

# Linux's boot-time clock also counts while the machine sleeps; elsewhere the monotonic clock must do.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """Seconds since 1970 as they were when the clock was made, plus the time that has passed since.

    A correction of the machine's clock during a race thus neither stalls a worker nor changes an order. Nor does one
    between two supervisors: a clock that was set back goes on from `not_before`, the latest time on record.
    """

    def __init__(self, not_before: float = 0.0) -> None:
        self._offset = max(time.time(), not_before) - time.clock_gettime(_STEADY)

        self._slept = _suspended()

    def slept_s(self) -> float:
        """For how long the machine was suspended since the last call."""
        before, self._slept = self._slept, _suspended()
        return self._slept - before

    def now(self) -> float:
        """Seconds since 1970."""
        return time.clock_gettime(_STEADY) + self._offset


def _suspended() -> float:
    """All the time that the machine has slept since it was started (clock_gettime(2): CLOCK_MONOTONIC leaves that out)."""
    return time.clock_gettime(_STEADY) - time.clock_gettime(time.CLOCK_MONOTONIC)
