"""How long one worker may be read in one turn of the loop, so that none keeps the others waiting."""

from __future__ import annotations

import time


class Slice:
    """A slice of a turn. Whoever reads asks after each small piece whether it is used up, and goes on in a later turn."""

    __slots__ = ("_until",)

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def is_used(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._until
