"""What any place to run must offer. The supervisor knows a worker only through its attempt folder and handle.

A runner mirrors the worker's metrics, log and exit into `races/ID/WORKER/attempts/N/`:

- `start.claim`   who runs this attempt; it appears once, whole, and never changes. Its existence means: started.
- `metrics.jsonl` what the worker reports
- `training.log`  what the worker prints
- `exit.json`     how it ended; it appears once, whole, when no process of the attempt is left

`local` runs on this machine; what else there is runs the same shim on a node of an engine (`far_entry.py`), so that a
stop goes the same ladder there and an exit is as exact.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal, Protocol

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from wtrace.race.open_file import OpenFile


@data
class Needs:
    """What an engine is asked for."""

    cpus: float | None = None
    gpus: float = 0.0
    memory_bytes: int | None = None


@data
class Parcel:
    """What a machine that shares no folder with this one has to be sent.

    Paths below `worktree` and `output`, and the `files`, are there what they are here: wherever one stands in the
    command or the environment, it is replaced by its place over there.
    """

    worktree: Path
    output: Path
    export: Callable[
        [Path], None
    ]  # writes the worktree's commit, clean, as a tar archive. Raises WtraceError
    env: Mapping[str, str] = field(default_factory=dict)  # what the race itself adds to the environment
    files: tuple[Path, ...] = ()  # others that the command reads
    mirrors: bool = True  # what lies in `output` goes along, and what the worker leaves there comes back
    largest: Callable[[], list[tuple[str, int]]] = (
        list  # the commit's largest files and their bytes, for a message
    )


@data
class Launch:
    """One attempt to run a command. `folder` is the attempt's own folder; it exists already."""

    folder: Path
    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)  # the whole environment, not an addition
    grace_s: float = 10.0  # between SIGTERM and SIGKILL, for what is left over when the leader has gone
    marker: str = ""  # unique to this attempt; put into the environment, so that escaped processes are found
    runner: str = "local"
    needs: Needs = Needs()
    signal: Literal["leader", "tree"] = "leader"  # who hears SIGTERM first
    parcel: Parcel | None = None
    beside: Path | None = (
        None  # an attempt that it belongs to, on whose node it may run and need not wait for CPUs
    )


@data
class Started:
    """What `start.claim` says: the worker's own pid (None on another machine) and its opaque identity."""

    pid: int | None
    handle: str


@data
class Exit:
    """What `exit.json` says. Exactly one of `code` and `signal` is set when `known`."""

    code: int | None
    signal: int | None
    known: bool
    at: float  # seconds since 1970
    leftovers: int = 0  # processes that outlived the leader and had to be ended; after a stop, to be killed
    oom: bool = False  # SIGKILL by nobody of ours, and the kernel counted a kill for want of memory meanwhile
    stopped: bool = False  # its guardian was told to end it, by whomever
    taken: str | None = (
        None  # why the place where it ran took it away: a lost node, a time limit, a preemption
    )
    requeue: bool = False  # taken, and to be started again from what it has saved
    refused: str | None = None  # why the engine would not have it at all


class Runner(Protocol):
    """A place to run. No method blocks for longer than it takes to hand over a request."""

    def start(self, launch: Launch) -> None:
        """Begin an attempt; `start.claim` appears in its folder when it runs.

        At most one process is ever started for a folder, however often and by whomever this is called.
        Raises ToolError when the request could not even be handed over.
        """

    def started(self, folder: Path) -> Started | None:
        """What `start.claim` says, or None while it is not there. Reads only."""

    def exited(self, folder: Path) -> Exit | None:
        """What `exit.json` says, or None while it is not there. Reads only."""

    def queued(self, folder: Path) -> str | None:
        """What the attempt waits for in its engine's queue; None where it does not. Reads only."""

    def stop(self, folder: Path) -> None:
        """SIGTERM to the leader now, to the rest when it has ended or half the grace is over; whoever is halted goes on.

        With `signal = "tree"` to all now. After `grace_s` SIGKILL until nobody is left.
        """

    def stop_all(self, folders: Iterable[Path]) -> None:
        """As `stop` for each, the leaders first: the last loser should not wait for the ladder of the first."""

    def kill(self, folder: Path) -> None:
        """SIGKILL to the whole tree now, until nobody is left."""

    def pause(self, folder: Path) -> None:
        """Halt the whole tree (SIGSTOP)."""

    def unpause(self, folder: Path) -> None:
        """Let a halted tree go on (SIGCONT)."""

    def writing(self, folder: Path, below: Sequence[Path]) -> frozenset[OpenFile] | None:
        """The files at or below these folders that any process of the attempt holds open for writing now.

        None: it cannot be told here (another machine, or a system that does not say); whoever asks then has to watch
        sizes and times. Empty once the attempt has ended. Reads only.
        """

    def halt(self, folder: Path, within_s: float) -> bool | None:
        """Have every process of the attempt stand still, so that a look at it holds until `stop` or `unpause`.

        False, and it goes on: not all of it came to a halt in time. None: nothing was done, it cannot be told here.
        """

    def adopt(self, folder: Path) -> bool:
        """Take over an attempt that an earlier supervisor began. False: its guardian is gone."""

    def boot_lost(self, folder: Path) -> bool:
        """Whether the machine was restarted since the attempt began, so that nobody saw its end."""

    def lost(self) -> list[Path]:
        """Attempts whose guardian died without an `exit.json` since the last call.

        Their trees have been ended, and an `exit.json` with `known: false` was written for each.
        """

    def news(self) -> set[Path]:
        """Folders of attempts in which something has changed that the kernel here does not tell of."""

    def fileno(self) -> int:
        """Becomes readable when `lost` or `news` may have something to say."""

    def close(self) -> None:
        """Let go of everything; the workers run on."""
