"""A command that wtrace itself wants done, a set-up's or a confirmation: followed until it ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from wtrace.metrics.foreign.translation import NOTHING_WATCHED
from wtrace.supervisor.jobs.job_reader import unknown_exit

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.metrics.slices import Slice
    from wtrace.runners.base import Exit, Runner
    from wtrace.supervisor.journal import Journal


class CommandIntake(ABC):
    """Looks to the supervisor's loop as a worker's `Intake` does; nothing is read before the end."""

    def __init__(self, journal: Journal, runner: Runner, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / "metrics.jsonl"
        self.done = False
        self.is_lost = False
        self.is_translated = False
        self.hindered = False
        self.due: float | None = None
        self.sources = NOTHING_WATCHED
        self._journal = journal
        self._runner = runner

    def read(self, now: float, within: Slice, *, may_have_ended: bool = True) -> bool:  # noqa: ARG002
        """Note the end of the command once it has ended; there is never more to read at once."""
        exit_ = self._runner.exited(self.folder) if may_have_ended or self.is_lost else None
        exit_ = exit_ or (unknown_exit(now) if self.is_lost else None)
        if exit_ is None:
            self._note_waiting(now)
        else:
            self._note_end(now, exit_)
            self.done = True
        return False

    def close(self) -> None:  # noqa: B027 (nothing to do is a whole answer)
        """Nothing is held open between two calls."""

    @abstractmethod
    def _note_end(self, now: float, exit_: Exit) -> None:
        """It has ended."""

    def _note_waiting(self, now: float) -> None:  # noqa: B027 (the same)
        """It has not ended."""
