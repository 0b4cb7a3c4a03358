"""Workers on this machine, each under a guardian of its own (`shim.py`) that outlives the supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.runners import attempt_folder, open_files, processes
from wtrace.runners.base import Started
from wtrace.runners.exits import ExitWatch
from wtrace.runners.processes import Held, Identity, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.race.open_file import OpenFile
    from wtrace.runners.base import Exit, Launch

SHIM = Path(__file__).parent.joinpath("shim", "shim.py").absolute()
HEARS_S = 20e-6  # what a worker that is woken by a signal needs of a core before the signal's handler runs
HALTS_S = 0.002  # between two looks at a tree that is coming to a halt
NOT_STARTED = 75  # the shim's exit code when the folder is another shim's
# Pending until the shim hears them, so that none comes too early.
SHIM_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGTSTP, signal.SIGCONT, signal.SIGHUP, signal.SIGINT)


@dataclass(slots=True)
class _Attempt:
    folder: Path
    shim: Held
    trace: Trace
    is_child: bool  # of this process, which then has to reap it
    worker: Held | None = None
    told: bool = False  # an earlier supervisor sent the worker its SIGTERM
    claim: int | None = None  # a descriptor of `start.claim`, opened before there is any hurry
    tells: bool = False  # this process has locked it, and sent the worker its SIGTERM

    def tell_worker(self, signum: signal.Signals) -> None:
        if self.worker is not None:
            self.worker.send(signum)

    def close(self) -> None:
        self.shim.close()
        if self.worker is not None:
            self.worker.close()
        if self.claim is not None:
            os.close(self.claim)


class LocalRunner:
    """Runs commands as processes of this machine. Not for several threads at once.

    Any process may make one: folders of attempts that it did not start are adopted when they are named. The process
    that starts workers becomes a subreaper, so that it sees what a killed shim leaves behind; it must not reap
    children that it does not know (`waitpid(-1)`).
    """

    def __init__(self, *, umask: int | None = None) -> None:
        """`umask` is the workers'; None: this process's own."""
        self._umask = umask
        self._exits = ExitWatch()
        self._attempts: dict[Path, _Attempt] = {}
        self._elsewhere: set[Path] = set()  # begun by somebody else's shim, which has yet to say so
        self._orphaned: dict[Path, Trace] = {}  # the guardian is gone, the exit not yet written
        self._lost: list[Path] = []
        self._left: set[Path] = set()

    def start(self, launch: Launch) -> None:
        """Begin an attempt; `start.claim` appears in its folder when it runs. Returns at once.

        Raises ToolError when no process could be started.
        """
        folder = launch.folder.absolute()
        if folder in self._attempts:
            return
        processes.become_subreaper()
        marker = launch.marker or secrets.token_hex(16)
        stamp = secrets.randbits(60) | 1 << 60
        try:
            pid = self._spawn(folder, launch, marker, stamp)
            shim = Held.child(pid)
        except (OSError, ValueError) as error:
            raise ToolError(
                f"cannot start a process for {launch.command[0]!r}",
                seen=str(error),
                hint="look at the limits on processes and open files (ulimit -u -n) and at the free memory",
            ) from error
        self._attempts[folder] = _Attempt(folder, shim, Trace(None, marker, stamp), is_child=True)
        self._exits.add(shim)

    def _spawn(self, folder: Path, launch: Launch, marker: str, stamp: int) -> int:
        """Start the shim, with nothing of this process's but the environment that is meant for the worker."""
        python = [sys.executable, "-I", "-S", str(SHIM)]
        where = [str(folder), repr(float(launch.grace_s)), launch.signal, str(launch.cwd.absolute())]
        umask = "" if self._umask is None else f"{self._umask:o}"
        unset = "" if "LC_CTYPE" in launch.env else "LC_CTYPE"  # Python sets it where there is no locale
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        return os.posix_spawn(
            sys.executable,
            [
                *python,
                *where,
                processes.boot_id(),
                json.dumps(marker),
                str(stamp),
                umask,
                unset,
                *launch.command,
            ],
            {**launch.env, processes.MARKER: marker},
            file_actions=null,
            setsigmask=SHIM_SIGNALS,
            setsid=sys.platform == "linux",  # at once: no signal for this process's group means the shim
        )

    def started(self, folder: Path) -> Started | None:
        """Who runs the attempt, or None while nobody does. Of a worker of another boot the pid is None."""
        folder = folder.absolute()
        claim = attempt_folder.read_claim(folder)
        if claim is None:
            return None
        if folder in self._elsewhere:
            self.adopt(folder)
        attempt = self._attempts.get(folder)
        if attempt is not None:
            self._hold_worker(attempt, claim)
        worker = claim.worker
        handle = f"{worker.boot_id}:{worker.pid}:{worker.start_ticks}"
        return Started(worker.pid if claim.of_this_boot else None, handle)

    def queued(self, folder: Path) -> str | None:  # noqa: ARG002
        """Nothing waits here: a process starts at once."""
        return None

    def news(self) -> set[Path]:
        """Where a guardian has left since the last call: its `exit.json` counts from then on."""
        news, self._left = self._left, set()
        return news

    def exited(self, folder: Path) -> Exit | None:
        """How the attempt ended, or None while it has not: an `exit.json` beside a living guardian is somebody else's."""
        folder = folder.absolute()
        if folder in self._attempts and self._see_who_left():
            self._exits.nudge()  # who waits for the descriptor is still to hear of it
        if folder in self._attempts or folder in self._orphaned:
            return None
        ending = attempt_folder.read_exit(folder)
        claim = None if ending is None else attempt_folder.read_claim(folder)
        return None if claim is not None and processes.is_alive(claim.shim) else ending

    def stop(self, folder: Path) -> None:
        """End the attempt, see `Runner.stop`. Again: nothing."""
        self.stop_all([folder])

    def stop_all(self, folders: Iterable[Path]) -> None:
        """Stop several attempts: the workers themselves first, directly, then through the shims all the rest.

        A worker gets one SIGTERM, whoever stops it how often. The lock on `start.claim` decides who sends it, and
        SIGUSR2, which the shim leaves pending, is the note that it was sent, should this process die right then.
        """
        attempts = [found for found in map(self._stoppable, map(Path.absolute, folders)) if found]
        direct = [attempt for attempt in attempts if self._tells_worker(attempt)]
        for attempt in direct:  # each signal wakes a process that wants this core, so the shims come last
            attempt.shim.send(signal.SIGUSR2)
            attempt.tell_worker(signal.SIGTERM)
        for attempt in direct:
            attempt.tell_worker(signal.SIGCONT)
        time.sleep(len(direct) * HEARS_S)  # else some would hear of it only after all guardians
        for attempt in attempts:
            attempt.shim.send(signal.SIGTERM)
        self._end_orphans()

    def _stoppable(self, folder: Path) -> _Attempt | None:
        if folder not in self._attempts and self.exited(folder) is not None:
            return None
        attempt = self._reach(folder)
        if attempt is None or attempt.worker is None:
            attempt_folder.request_stop(folder)
            attempt = self._reach(folder)  # again: a worker that is still not there will find the request
        return attempt

    @staticmethod
    def _tells_worker(attempt: _Attempt) -> bool:
        if attempt.worker is None or attempt.told or attempt.tells or attempt.claim is None:
            return False
        attempt.tells = attempt_folder.lock_stop(attempt.claim)
        return attempt.tells

    def kill(self, folder: Path) -> None:
        """SIGKILL to all of the attempt, until nobody is left."""
        if attempt_folder.read_claim(folder) is None:
            self.stop(folder)
        self._tell(folder, signal.SIGUSR1)
        self._end_orphans()

    def pause(self, folder: Path) -> None:
        """Halt the whole tree. One that is being stopped goes on."""
        self._tell(folder, signal.SIGTSTP)

    def unpause(self, folder: Path) -> None:
        """Let a halted tree go on."""
        self._tell(folder, signal.SIGCONT)

    def _tell(self, folder: Path, signum: signal.Signals) -> None:
        attempt = self._reach(folder.absolute())
        if attempt is not None:
            attempt.shim.send(signum)

    def writing(self, folder: Path, below: Sequence[Path]) -> frozenset[OpenFile] | None:
        """See `Runner.writing`: asked of /proc, for all below the guardian, which is whom orphans fall to."""
        if not open_files.CAN_ASK:
            return None
        claim = attempt_folder.read_claim(folder)
        if claim is None or not claim.of_this_boot:
            return frozenset()
        return open_files.held_for_writing(_members(claim), below)

    def halt(self, folder: Path, within_s: float) -> bool | None:
        """See `Runner.halt`: the guardian halts the tree, and this waits until all its threads stand still."""
        claim = attempt_folder.read_claim(folder)
        if not open_files.CAN_ASK or claim is None or not processes.is_alive(claim.shim):
            return None
        self.pause(folder)
        deadline = time.monotonic() + within_s
        before: set[int] | None = None
        while True:
            members = _members(claim)
            halted = members if all(map(processes.is_halted, members)) else None
            if halted is not None and halted == before:  # once would miss a child that was forked meanwhile
                return True
            if time.monotonic() > deadline:
                self.unpause(folder)
                return False
            before = halted
            time.sleep(HALTS_S)

    def adopt(self, folder: Path) -> bool:
        """Take over an attempt that an earlier supervisor began. False: its guardian is gone.

        After False there may be an `exit.json`, or no `start.claim` (it was never started, and may be); else the next
        `lost` ends what is left of it and tells of it.
        """
        folder = folder.absolute()
        if folder in self._attempts:
            return True
        claim = attempt_folder.read_claim(folder)
        if claim is None:
            return False
        self._elsewhere.discard(folder)
        shim = Held.take(claim.shim)
        if shim is not None:
            told = processes.is_pending(claim.shim.pid, signal.SIGUSR2)
            attempt = _Attempt(folder, shim, claim.trace, is_child=False, told=told)
            self._attempts[folder] = attempt
            self._exits.add(shim)
            self._hold_worker(attempt, claim)
            return True
        self._orphan(folder, claim.trace)
        return False

    def boot_lost(self, folder: Path) -> bool:
        """Whether the worker was started before this machine was last restarted, and how it ended is not known."""
        claim = attempt_folder.read_claim(folder)
        ending = attempt_folder.read_exit(folder)
        return claim is not None and not claim.of_this_boot and (ending is None or not ending.known)

    def lost(self) -> list[Path]:
        """Attempts whose guardian died without an `exit.json` since the last call.

        Their trees have been ended, unless they are of another boot, and each has an `exit.json` with `known: false`.
        Where that cannot be written or a process cannot be killed yet, a later call tries again: ask on a timer too.
        """
        self._see_who_left()
        self._end_orphans()
        lost, self._lost = self._lost, []
        return lost

    def fileno(self) -> int:
        """Readable when a guardian has ended, be it well or badly: then call `lost`, which also reaps it."""
        return self._exits.fileno()

    def close(self) -> None:
        """Let go of everything; the workers run on under their shims."""
        for attempt in self._attempts.values():
            attempt.close()
        self._attempts.clear()
        self._exits.close()

    def _reach(self, folder: Path) -> _Attempt | None:
        """The attempt with its worker held, if it has one by now; adopted if need be."""
        if not self.adopt(folder):
            return None
        attempt = self._attempts[folder]
        if attempt.worker is None:
            claim = attempt_folder.read_claim(folder)
            if claim is not None:
                self._hold_worker(attempt, claim)
        return attempt

    def _hold_worker(self, attempt: _Attempt, claim: attempt_folder.Claim) -> None:
        if attempt.worker is None:
            attempt.trace = claim.trace
            with contextlib.suppress(OSError):  # no more open files: the shim sends what there is to send
                attempt.worker = Held.take(claim.worker)
        if attempt.claim is None and attempt.worker is not None:
            attempt.claim = attempt_folder.open_claim(attempt.folder)

    def _see_who_left(self) -> bool:
        gone = self._exits.gone()
        for shim in gone:
            self._guardian_left(next(a for a in self._attempts.values() if a.shim is shim))
        return bool(gone)

    def _guardian_left(self, attempt: _Attempt) -> None:
        del self._attempts[attempt.folder]
        code = _reap(attempt.shim.identity) if attempt.is_child else None
        attempt.close()
        if code != NOT_STARTED:
            claim = attempt_folder.read_claim(attempt.folder)
            self._orphan(attempt.folder, claim.trace if claim else attempt.trace, vouched=code == 0)
            self._left.add(attempt.folder)
        elif not self.adopt(attempt.folder) and attempt_folder.read_claim(attempt.folder) is None:
            self._elsewhere.add(attempt.folder)

    def _orphan(self, folder: Path, trace: Trace, *, vouched: bool = False) -> None:
        """The guardian is gone. It has left its word in `exit.json`, or what is left of the tree is to be ended.

        The word is its own where it ended as it does (`vouched`), or where nobody of the tree is left: it leaves last.
        """
        if attempt_folder.has_sound_exit(folder) and (vouched or not processes.find([trace])):
            return
        self._orphaned[folder] = trace
        self._exits.nudge()

    def _end_orphans(self) -> None:
        if not self._orphaned:
            return
        processes.end_trees(self._orphaned.values())
        for folder, trace in list(self._orphaned.items()):
            if not processes.find([trace]) and _write_unknown_exit(folder):
                del self._orphaned[folder]
                self._lost.append(folder)


def _members(claim: attempt_folder.Claim) -> set[int]:
    """The living processes of an attempt, whoever guards it."""
    if open_files.HAS_CHILDREN and processes.is_alive(claim.shim):
        return open_files.tree(claim.shim.pid)
    return processes.find([claim.trace])


def _write_unknown_exit(folder: Path) -> bool:
    """In the place of whatever lies there. False: not now."""
    try:
        attempt_folder.put_exit_aside(folder)
    except OSError:
        return False
    return attempt_folder.write_unknown_exit(folder)


def _reap(child: Identity) -> int | None:
    """The exit code of a child that has ended (negative: the signal); None when somebody else took it."""
    try:
        _, status = os.waitpid(child.pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)
