"""When a worker that ended is started again, and how its end is told."""

from __future__ import annotations

import signal as signals
from typing import TYPE_CHECKING

from wtrace.race.phases import Stopping
from wtrace.text import plain

if TYPE_CHECKING:
    from wtrace.race.events import WorkerExited
    from wtrace.race.state import Worker

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 300.0
AT_ONCE_S = 5.0
COMMAND_NOT_FOUND = 127
WORDS_BESIDE_A_MEND = 200  # characters; the mend is not to be cut off
REBOOTED = "lost when the machine was restarted"


def not_before(worker: Worker, exit_: WorkerExited, restarts_left: int) -> float | None:
    """When the worker may start again (seconds since 1970), or None if it may not.

    Delays double from 2 s to 5 min. A start that fails at once, before it reported anything, would only fail again. One
    that leaves with exit code 0 because it was asked to, being stalled, is not done.
    """
    ended_for_silence = isinstance(worker.phase, Stopping) and worker.phase.cause == "stalled"
    done = exit_.known and exit_.code == 0 and not exit_.taken and not ended_for_silence
    if restarts_left <= 0 or done or exit_.code == COMMAND_NOT_FOUND:
        return None
    ran_s = exit_.at - (worker.started or exit_.at)
    if not worker.reported and ran_s < AT_ONCE_S:
        return None
    return exit_.at + min(FIRST_DELAY_S * 2.0 ** (exit_.attempt - 1), LONGEST_DELAY_S)


def describe_exit(exit_: WorkerExited) -> str:
    """One line for a person: `exit code 1`, `killed by SIGKILL`, `its exit is unknown`."""
    if exit_.reason is not None:
        return exit_.reason
    if exit_.rebooted:
        return REBOOTED
    if not exit_.known:
        return "its exit is unknown: nobody saw it end"
    if exit_.signal is not None:
        return f"killed by {_signal_name(exit_.signal)}"
    if exit_.code == COMMAND_NOT_FOUND:
        return "exit code 127: the command could not be started; its log says why"
    return f"exit code {exit_.code}"


def words_of(exit_: WorkerExited) -> str | None:
    """Why it failed by its own log, and the mend where there is one."""
    if exit_.last_words is None or exit_.mend is None:
        return exit_.last_words
    return f"{plain(exit_.last_words, WORDS_BESIDE_A_MEND)}; {exit_.mend}"


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
