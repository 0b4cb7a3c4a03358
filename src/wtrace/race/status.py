"""Where a race stands: the one view that status, the live table, the progress page and the reports render.

The supervisor computes it from the race's state and stores it; `core.contract` shows it as JSON.
"""

from __future__ import annotations

from typing import Literal

from wtrace.data import data
from wtrace.judging.checks import CheckSummary, CriterionInfo, CriterionStanding

WorkerState = Literal[
    "waiting", "running", "paused", "stalled", "confirming", "refuted", "retrying", "stopping",
    "won", "terminated", "stopped", "finished", "failed", "lost", "skipped",
]  # fmt: skip
RaceStateName = Literal["running", "won", "no_winner", "stopped", "interrupted"]


@data
class ExitStanding:
    """How a worker's process ended. `known` is False when nobody saw it end."""

    code: int | None
    signal: int | None
    known: bool


@data
class ClaimStanding:
    """A worker's open claim, else the one that was decided last."""

    epoch: int
    status: Literal["waiting", "confirming", "refuted", "unconfirmed"]
    since: float | None = None  # when its confirmation began; seconds since 1970
    timeout_s: float | None = None  # that the confirmation may take
    why: str | None = None  # it was refuted, or could not be confirmed


@data
class WorkerStanding:
    """One row of the table."""

    name: str
    branch: str
    commit: str
    state: WorkerState
    max_epochs: int
    control: bool = False
    pid: int | None = None
    handle: str | None = None
    attempt: int = 0
    epoch: int = 0
    exit: ExitStanding | None = None
    criteria: tuple[CriterionStanding, ...] = ()  # empty until the first judged check
    checks: int = 0
    lines: int = 0
    bad_lines: int = 0
    worktree: str = ""
    output: str = ""
    log: str = ""
    started: float | None = None  # of the running attempt, or of the last one; seconds since 1970
    ended: float | None = None
    note: str | None = None  # one line for a person: why it failed, the first bad line, who beat it
    doing: str | None = None  # what it says that it does just now, as long as no check of it was judged
    recent: tuple[CheckSummary, ...] = ()  # the latest judged checks, oldest first, at most 32
    best: CheckSummary | None = (
        None  # the judged check that met most criteria; ties: the first criterion's best
    )
    claim: ClaimStanding | None = None
    ruled_out: str | None = (
        None  # why it cannot win, or its checks do not count, although they meet every criterion
    )


@data
class Happening:
    """Something that happened, told in one line."""

    at: float  # seconds since 1970
    text: str


@data
class Standing:
    """A race as it stands at `at`."""

    id: str
    name: str
    state: RaceStateName
    at: float
    started: float
    supervisor_pid: int | None
    supervisor_alive: bool
    workers: tuple[WorkerStanding, ...]
    criteria: tuple[CriterionInfo, ...]
    check_every: int
    winner: str | None = None
    winner_epoch: int | None = None
    decided: float | None = None  # when the verdict was reached
    ended: float | None = None
    confirmed: bool = False
    happenings: tuple[Happening, ...] = ()  # the latest, oldest first
    cost_per_hour: float | None = None  # of the machine
