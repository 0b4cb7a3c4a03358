"""What scripted workers and the benchmark tell each other: numbers in a shared file, at the cost of a memory write.

Slot 0 belongs to the benchmark, slot N + 1 to worker N. Times are nanoseconds of the monotonic clock, which is the
same for every process of a machine.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SLOT_BYTES = 64
RUNS_AT, TERM_AT, PID, CHILD, WROTE_AT, DONE_AT = range(6)
GO, TARGET = 0, 1  # in slot 0


class Marks:
    """The shared file as the benchmark sees it."""

    def __init__(self, path: Path, workers: int) -> None:
        path.write_bytes(bytes(SLOT_BYTES * (workers + 1)))
        self.path = path
        self.workers = workers
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def get(self, slot: int, field: int) -> int:
        value: int = struct.unpack_from("<q", self._map, slot * SLOT_BYTES + field * 8)[0]
        return value

    def set(self, slot: int, field: int, value: int) -> None:
        struct.pack_into("<q", self._map, slot * SLOT_BYTES + field * 8, value)

    def all(self, field: int) -> list[int]:
        """That number of every worker, in their order; 0: not yet."""
        return [self.get(slot, field) for slot in range(1, self.workers + 1)]

    def wait_all(self, field: int, *, but: Sequence[int] = (), timeout_s: float = 60.0) -> None:
        """Until every worker, `but` these, has put something there."""
        wait_for(
            lambda: all(value for number, value in enumerate(self.all(field)) if number not in but),
            f"field {field} of {self.workers} workers",
            timeout_s,
        )

    def reset(self) -> None:
        """As at the beginning."""
        self._map[:] = bytes(len(self._map))

    def go(self) -> None:
        """Let the winner write its line."""
        self.set(0, GO, 1)

    def close(self) -> None:
        self._map.close()


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Look every few milliseconds until it is so. TimeoutError when it does not become so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.004)
