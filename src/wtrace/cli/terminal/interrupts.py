"""Ctrl-C and SIGTERM while a race is begun or shown: an exception that says so, at whatever moment they come."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupted(Exception):  # noqa: N818 (not an error: the user pressed Ctrl-C)
    """This command was asked to leave, by Ctrl-C or SIGTERM."""


class Left(Exception):  # noqa: N818 (not an error either)
    """The person who watched left the live view; the race goes on."""


class StopChosen(Interrupted):
    """As `Interrupted`, by somebody who was asked and chose to stop the race."""


@contextmanager
def interrupts() -> Iterator[None]:
    """Within this, Ctrl-C and SIGTERM raise Interrupted."""

    def interrupt(_number: int, _frame: object) -> None:
        raise Interrupted

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
