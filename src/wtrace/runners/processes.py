"""Processes of this machine by identity: a pid is used again, (pid, start ticks, boot id) is not."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MARKER = "WTRACE_ATTEMPT"  # in the environment of everything that an attempt starts
PR_SET_CHILD_SUBREAPER = 36
LOOKS, LAST = 20, 5  # how often to look for the processes that began last, and at how many


@data
class Identity:
    """One process, for good. `start_ticks` is 0 where the system does not tell them (macOS)."""

    pid: int
    start_ticks: int
    boot_id: str
    not_after: float = 0.0  # seconds since 1970: without ticks, a process that began later is another one


@data
class Trace:
    """How the processes of an attempt are recognized when their guardian is gone."""

    worker: Identity | None
    marker: str
    stamp: int  # the soft limit on realtime CPU that they inherited; 0: none


@functools.cache
def boot_id() -> str:
    """What names the time since this machine was last started."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.check_output(["sysctl", "-n", "kern.bootsessionuuid"], text=True).strip()
    import psutil

    return f"boot-{psutil.boot_time():.0f}"


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process runs; a zombie does not, whoever may still have to reap it."""
    return identity.boot_id == boot_id() and _is_same(identity)


class Held:
    """A process held so that a signal reaches it or nobody, whatever becomes of its pid."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._fd = _open_pidfd(identity.pid)

    @classmethod
    def take(cls, identity: Identity) -> Held | None:
        """Hold a living process; None when it is gone. Raises OSError when no more files can be opened."""
        if identity.boot_id != boot_id():
            return None
        try:
            held = cls(identity)
        except ProcessLookupError:
            return None
        if _is_same(identity):  # looked up after the pidfd was opened: it cannot be another one's
            return held
        held.close()
        return None

    @classmethod
    def child(cls, pid: int) -> Held:
        """Hold a child of this process that has not been reaped, alive or not."""
        return cls(Identity(pid, _start_ticks(pid), boot_id(), time.time()))

    def send(self, *signums: signal.Signals) -> bool:
        """Signal it; False when it is gone."""
        try:
            for signum in signums:
                _send(self, signum)
        except ProcessLookupError:
            return False
        return True

    def fileno(self) -> int:
        """The pidfd, readable when the process has ended; -1 where there is none."""
        return self._fd

    def close(self) -> None:
        """Let go of it; it lives on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def end_trees(traces: Iterable[Trace], timeout_s: float = 2.0) -> set[int]:
    """SIGKILL whatever belongs to these attempts until several looks find nobody; returns who is still there."""
    traces = list(traces)
    deadline = time.monotonic() + timeout_s
    killed: set[int] = set()
    quiet = 0
    while quiet < 3 and time.monotonic() < deadline:
        living = find(traces)
        quiet = 0 if living else quiet + 1
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        _end_newest(traces)
        killed |= living
        _reap(killed, traces)
        time.sleep(0.002)
    return find(traces)


def _reap(killed: Iterable[int], traces: Iterable[Trace]) -> None:
    """Collect those that became this process's children; no other child's status is touched."""
    belongs = _recognizer(traces)
    for pid in {*killed, *filter(belongs, _children())}:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def find(traces: Iterable[Trace]) -> set[int]:
    """The living processes that belong to one of these attempts: known, marked or stamped, and all below them."""
    traces = list(traces)
    belongs = _recognizer(traces)
    known = {trace.worker.pid for trace in traces if trace.worker and is_alive(trace.worker)}
    parents = dict(_parents())
    members = {pid for pid in parents if pid in known or belongs(pid)}
    size = -1
    while size != len(members):
        size = len(members)
        members |= {pid for pid, parent in parents.items() if parent in members}
    return members - {os.getpid()}


if sys.platform == "linux":

    def become_subreaper() -> bool:
        """Have orphans below this process become its children, so that the tree of a dead guardian is seen."""
        import ctypes

        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)

    def _end_newest(traces: Iterable[Trace]) -> None:
        """SIGKILL those among the processes that began last, looked for without a walk through all.

        A tree that keeps forking is gone from its place in the table of processes before the walk is over.
        """
        belongs = _recognizer(traces)
        for _ in range(LOOKS):
            last = int(Path("/proc/loadavg").read_text().split()[4])
            for pid in filter(belongs, {*range(max(2, last - LAST), last + 1)} - {os.getpid()}):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _children() -> list[int]:
        """This process's children, dead ones included; empty where the kernel does not tell."""
        with contextlib.suppress(OSError):
            files = Path("/proc/self/task").glob("*/children")
            return [int(pid) for file in files for pid in file.read_text().split()]
        return []

    def is_pending(pid: int, signum: signal.Signals) -> bool:
        """Whether the process has left this signal pending."""
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
        masks = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:")]
        return any(int(mask, 16) >> (signum - 1) & 1 for mask in masks)

    def is_halted(pid: int) -> bool:
        """Whether all threads of the process stand still by a signal; one that is gone does."""
        with contextlib.suppress(OSError):
            stats = [Path(f"/proc/{pid}/task/{thread}/stat") for thread in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
            return all(_state_of(path) in "TtZX" for path in stats)
        return True

    def _state_of(stat: Path) -> str:
        try:
            text = stat.read_bytes()
        except OSError:
            return "X"
        return chr(text[text.rindex(b")") + 2])

    def _open_pidfd(pid: int) -> int:
        return os.pidfd_open(pid)

    def _send(held: Held, signum: signal.Signals) -> None:
        signal.pidfd_send_signal(held.fileno(), signum)

    def _stat(pid: int) -> tuple[str, int, int] | None:
        """(state, parent's pid, start ticks) of a process."""
        try:
            text = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        columns = text[text.rindex(b")") + 2 :].split()  # the name before it may hold blanks and brackets
        return columns[0].decode(), int(columns[1]), int(columns[19])

    def _start_ticks(pid: int) -> int:
        stat = _stat(pid)
        return stat[2] if stat else 0

    def _is_same(identity: Identity) -> bool:
        stat = _stat(identity.pid)
        return stat is not None and stat[0] not in "ZX" and stat[2] == identity.start_ticks

    def _parents() -> Iterator[tuple[int, int]]:
        """(pid, parent's pid) of every living process."""
        for name in os.listdir("/proc"):  # noqa: PTH208 (a thousand Path objects for a thousand names)
            stat = _stat(int(name)) if name.isdigit() else None
            if stat is not None and stat[0] not in "ZX":
                yield int(name), stat[1]

    def _recognizer(traces: Iterable[Trace]) -> Callable[[int], bool]:
        import resource

        stamps = {trace.stamp for trace in traces if trace.stamp}
        entries = {os.fsencode(f"{MARKER}={trace.marker}") for trace in traces if trace.marker}

        def belongs(pid: int) -> bool:
            try:
                if resource.prlimit(pid, resource.RLIMIT_RTTIME)[0] in stamps:
                    return True
                return not entries.isdisjoint(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
            except OSError:
                return False  # gone, or another user's

        return belongs

else:

    def become_subreaper() -> bool:
        """There is no such thing here: orphans are found by the marker in their environment."""
        return False

    def _end_newest(traces: Iterable[Trace]) -> None:
        """There is nothing here that tells which processes began last."""

    def _children() -> list[int]:
        """Orphans do not become this process's children here."""
        return []

    def is_pending(pid: int, signum: signal.Signals) -> bool:  # noqa: ARG001
        """Whether the process has left this signal pending: not to be seen from outside here."""
        return False

    def is_halted(pid: int) -> bool:
        """Whether the process stands still by a signal; one that is gone does."""
        import psutil

        try:
            return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        except psutil.Error:
            return True

    def _open_pidfd(pid: int) -> int:  # noqa: ARG001
        return -1

    def _send(held: Held, signum: signal.Signals) -> None:
        if is_alive(held.identity):
            os.kill(held.identity.pid, signum)

    def _start_ticks(pid: int) -> int:  # noqa: ARG001
        return 0

    def _is_same(identity: Identity) -> bool:
        import psutil

        try:
            process = psutil.Process(identity.pid)
            zombie = process.status() == psutil.STATUS_ZOMBIE
            return not zombie and process.create_time() <= identity.not_after + 1  # the clock's rounding
        except psutil.Error:
            return False

    def _parents() -> Iterator[tuple[int, int]]:
        """(pid, parent's pid) of every living process."""
        import psutil

        for process in psutil.process_iter(["ppid", "status"]):
            if process.info["status"] != psutil.STATUS_ZOMBIE:
                yield process.pid, process.info["ppid"] or 0

    def _recognizer(traces: Iterable[Trace]) -> Callable[[int], bool]:
        import psutil

        markers = {trace.marker for trace in traces if trace.marker}

        def belongs(pid: int) -> bool:
            try:
                return psutil.Process(pid).environ().get(MARKER) in markers
            except (psutil.Error, OSError):
                return False

        return belongs
