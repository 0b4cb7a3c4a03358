"""The phases of a worker: it is in one at a time, and each carries only what is true in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from wtrace.race.events import StopCause
    from wtrace.race.settling import Settling
    from wtrace.race.status import ExitStanding, WorkerState


@data
class Waiting:
    """Never started; waits for its turn."""


@data
class SettingUp:
    """Its worktree is being prepared by the commands of `setup`, one after the other."""

    step: int  # from 1
    since: float
    done: bool = False  # this step was; the next one, or the training, is about to start
    stopping: bool = False


@data
class Launching:
    """The runner has been asked, or is about to be."""

    attempt: int
    since: float
    waits_for: str | None = None  # the engine has it in its queue, and says this of it


@data
class Running:
    """Its process lives. `heard` is when it last reported (or started)."""

    attempt: int
    since: float
    pid: int | None
    handle: str
    heard: float
    stalled: bool = False
    paused: bool = False
    settling: Settling | None = None


@data
class Stopping:
    """It is being ended."""

    attempt: int
    since: float
    pid: int | None
    handle: str
    asked: float
    cause: StopCause


@data
class Retrying:
    """It crashed and will be started again."""

    attempt: int  # the one that crashed
    not_before: float
    exit: ExitStanding


@data
class Ended:
    """It will not run again."""

    outcome: WorkerState
    at: float
    attempt: int = 0
    exit: ExitStanding | None = None


Phase = Waiting | SettingUp | Launching | Running | Stopping | Retrying | Ended
ALIVE = (Launching, Running, Stopping)
BUSY = (SettingUp, *ALIVE)
"""Who takes a place, and holds what it was given."""
