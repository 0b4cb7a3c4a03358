"""What a script says of its progress: to wtrace where that runs it, and to whoever reads its output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from persistence.errors import TrainingError

if TYPE_CHECKING:
    from persistence.evaluate import Judgement

T = TypeVar("T")


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


def with_progress(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    for done, item in enumerate(items, start=1):
        yield item
        if done % 50 == 0 or done == len(items):
            bar = "#" * (40 * done // len(items))
            sys.stderr.write(f"\r{what} [{bar:<40}] {done}/{len(items)}")
    sys.stderr.write("\n")
