"""When a training ends before its last epoch: it is told to, or (by hand) it has reached the goal."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

from persistence.evaluate import Judgement

T = TypeVar("T")

MARGIN = 1.3  # the ratio that a typical clip must exceed
P_BELOW = 0.01
ACCURACY = 0.75
CONSISTENCY = 0.70


SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A signal asked the training to save and leave."""


class StopSignal:
    """Notes SIGTERM and Ctrl-C; the work looks here between any two batches, so that it never stops halfway in one."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def listen(self) -> None:
        """From now on a signal is noted. A second Ctrl-C ends the process at once."""
        for number in SIGNALS:
            signal.signal(number, self.note)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signals."""
        self.received = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; raises Stopped in place of the next one once a signal has come."""
        for batch in batches:
            if self.received is not None:
                raise Stopped
            yield batch


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Meanwhile a signal raises Stopped wherever the work is, also where it waits. For work that may be cut anywhere."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Stopped

    with _handled_by(stop):
        yield


@contextmanager
def stopped_between_steps() -> Iterator[StopSignal]:
    """Meanwhile a signal is only noted, for work that looks whether one has come."""
    noted = StopSignal()
    with _handled_by(noted.note):
        yield noted


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, theirs in before.items():
            signal.signal(number, theirs)


def goal_is_reached(judgement: Judgement, ratio: float) -> bool:
    """Whether all four criteria hold: attention ratio, accuracy, a margin that is no accident, most clips agree.

    For runs by hand. In a race the referee judges, with a correction for many looks that is not known here.
    """
    return (
        judgement.ratio >= ratio
        and judgement.mean_accuracy >= ACCURACY
        and judgement.consistency(MARGIN) >= CONSISTENCY
        and p_greater(judgement.persistent, judgement.transient, MARGIN) < P_BELOW
    )


def p_greater(a: list[float], b: list[float], margin: float) -> float:
    """One-sided Wilcoxon signed-rank test on log(a / b) - log(margin), by its normal approximation.

    W = sum of the ranks of the positive differences; z = (W - n(n+1)/4) / sqrt(n(n+1)(2n+1)/24). Good from about 20
    pairs on. 1.0 where a value is not positive and finite, or there are no pairs. Source: Wilcoxon 1945.
    """
    if not a or not all(0 < value < math.inf for value in (*a, *b)):
        return 1.0
    differences = [math.log(x / y / margin) for x, y in zip(a, b, strict=True)]
    ranked = sorted((d for d in differences if d != 0), key=abs)
    n = len(ranked)
    if n == 0:
        return 1.0
    positive = sum(rank for rank, d in enumerate(ranked, start=1) if d > 0)
    z = (positive - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return 0.5 * math.erfc(z / math.sqrt(2))
