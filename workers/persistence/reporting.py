"""What a script says of its progress: to wtrace where that runs it, and to whoever reads its output."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from persistence.errors import TrainingError

if TYPE_CHECKING:
    from persistence.evaluate import Judgement

T = TypeVar("T")

_TELL_EVERY_S = 2.0


class Reporter(Protocol):
    """The part of `wtrace.Reporter` that the scripts use."""

    @property
    def active(self) -> bool:
        """Whether anybody listens."""

    def start(self, *, max_epochs: int, info: Mapping[str, Any]) -> None:
        """The training begins."""

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """One epoch is over."""

    def check(
        self,
        epoch: int,
        *,
        metrics: Mapping[str, float] | None = None,
        samples: Mapping[str, Any] | None = None,
        checkpoint: str | None = None,
        objects: Mapping[str, Any] | None = None,
    ) -> None:
        """A trained state was judged, sample by sample."""

    def progress(self, text: str) -> None:
        """What is being done just now."""

    def end(self, reason: str) -> None:
        """The training is over."""


class NoReporter:
    """Stands in where wtrace is not installed: a script runs by hand without it."""

    active = False

    def start(self, *, max_epochs: int, info: Mapping[str, Any]) -> None:
        """Nobody listens."""

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Nobody listens."""

    def check(self, epoch: int, **record: Any) -> None:
        """Nobody listens."""

    def progress(self, text: str) -> None:
        """Nobody listens."""

    def end(self, reason: str) -> None:
        """Nobody listens."""


def reporter() -> Reporter:
    """wtrace's Reporter, or a silent one by hand. Raises TrainingError where a race would get no metrics."""
    try:
        from wtrace import Reporter as WtraceReporter
    except ImportError as error:
        if os.environ.get("WTRACE_METRICS"):
            raise TrainingError(
                f"WTRACE_METRICS is set, but {sys.executable} cannot import wtrace"
            ) from error
        return NoReporter()
    return WtraceReporter()


def say(text: str) -> None:
    """One line on standard output, at once: it may be a log that somebody follows."""
    print(text, flush=True)


def describe(judgement: Judgement) -> str:
    """One judgement in a few words."""
    return (
        f"attention ratio {judgement.ratio:.2f}, accuracy {judgement.mean_accuracy:.3f}, "
        f"consistency {judgement.consistency(1.3):.2f} over {len(judgement.id)} clips"
    )


class Pace:
    """Whether it is time again to tell of progress: often enough to be followed, and seldom enough to cost nothing."""

    def __init__(self) -> None:
        self._told = time.monotonic() - _TELL_EVERY_S  # the first time is at once

    def is_due(self) -> bool:
        """Whether to tell now; counted as told then."""
        due = time.monotonic() - self._told >= _TELL_EVERY_S
        self._told = time.monotonic() if due else self._told
        return due


def with_progress(items: Sequence[T], what: str, done: int = 0) -> Iterator[T]:
    """The items, and how far they are: told to wtrace, and a bar on standard error where that is a terminal. `done`
    others came before them."""
    listener, pace, total = reporter(), Pace(), done + len(items)
    is_terminal = sys.stderr.isatty()
    for item in items:
        if pace.is_due():
            listener.progress(f"{what} {done}/{total}")
        yield item
        done += 1
        if is_terminal and (done % 50 == 0 or done == total):
            bar = "#" * (40 * done // total)
            sys.stderr.write(f"\r{what} [{bar:<40}] {done}/{total}")
    if is_terminal:
        sys.stderr.write("\n")
