"""The supervisor as a process of its own: apart from the terminal, the only one in its repo."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from wtrace.errors import ToolError, UsageError
from wtrace.store import home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.race.paths import Layout

FILES, FILES_PER_WORKER = 64, 6  # metrics, guardian, process and lock of each, and some to spare


CLOSES_WITHIN_S = 60.0
"""A race that has ended writes its report and draws its figures; who wants to start another waits so long for it."""


def wait_for_close(layout: Layout, race_id: str, at_most_s: float = CLOSES_WITHIN_S) -> bool:
    """Whether the supervisor of a race that has ended has left, or does so in time."""
    deadline = time.monotonic() + at_most_s
    while home.is_locked(layout) and home.who_holds(layout) == race_id:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _has_ended(layout: Layout, race_id: str) -> bool:
    from wtrace.store.reader import Reader

    with Reader(layout.database) as reader:
        standing = reader.standing(race_id)
    return standing is not None and standing.ended is not None


@contextlib.contextmanager
def only_race(layout: Layout) -> Iterator[int]:
    """Hold the repo's lock. UsageError while another race runs, saying which; one that only closes is waited for."""
    home.make_home(layout)
    holder = home.who_holds(layout)
    if (
        holder
        and home.is_locked(layout)
        and _has_ended(layout, holder)
        and not wait_for_close(layout, holder)
    ):
        raise UsageError(
            f"race {holder} has ended, and its supervisor still runs what comes after it",
            hint="its log says what; `wtrace stop` ends it",
        )
    with home.race_lock(layout) as lock:
        if lock is None:
            raise UsageError(
                f"a race runs already in this repo: {home.who_holds(layout)}",
                hint="`wtrace watch` shows it, `wtrace stop` ends it",
            )
        yield lock


class Supervisor:
    """A supervisor's process in a session of its own, which waits to be told its race.

    It is started early, so that it is ready when the worktrees are. It inherits the lock: there is never a gap.
    """

    def __init__(self, layout: Layout, lock: int) -> None:
        self._layout = layout
        self._lock = lock
        self.has_race = False
        # -P: nothing in the current folder may stand in for a module of ours.
        command = [sys.executable, "-P", "-m", "wtrace.supervisor.run", str(layout.root)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=(lock,),
        )

    def supervise(self, race_id: str) -> None:
        """Let it run this race. ToolError where it cannot."""
        assert self._process.stdin is not None
        self.has_race = True  # from here on it may run, whatever happens to us
        try:
            home.write_holder(self._lock, race_id)
            self._process.stdin.write(f"{race_id}\n".encode())
            self._process.stdin.close()
        except OSError as error:
            self.dismiss()
            raise ToolError(
                f"no supervisor can be started in {self._layout.race(race_id).folder}", seen=str(error)
            ) from error

    def dismiss(self) -> None:
        """Let it leave, and the lock with it; nothing was begun."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def supervisor_ahead(layout: Layout, lock: int) -> Iterator[Supervisor]:
    """A supervisor that has time to get ready while its race is set up; it leaves again where that fails."""
    supervisor = Supervisor(layout, lock)
    try:
        yield supervisor
    except BaseException:
        if not supervisor.has_race:
            supervisor.dismiss()
        raise


def wait_for_race(root: Path) -> str | None:
    """In the supervisor's process: the id of the race to run, once it is told; None where nobody tells any more.

    From then on what it says goes to the race's log.
    """
    from wtrace.race.paths import Layout

    race_id = sys.stdin.readline().strip()
    if not race_id:
        return None
    log = os.open(
        Layout(root).race(race_id).log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for ours, standard in ((nowhere, 0), (log, 1), (log, 2)):
        os.dup2(ours, standard)
    os.close(log)
    os.close(nowhere)
    return race_id


def hand_nothing_on() -> None:
    """Let nothing that this process starts inherit its files: a worker's guardian that has just been forked would
    hold the lock of the repo beyond the supervisor's death."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 (numbers, not paths)
        with contextlib.suppress(OSError):  # the descriptor that listed them
            os.set_inheritable(int(name), int(name) <= 2)


def reserve_files(workers: int) -> None:
    """Let this process hold as many files as so many workers need, and let the table of them grow at once.

    Later, with threads about, the kernel takes some 10 ms to let it grow, and that would be when losers are to be told.
    """
    wanted = FILES + FILES_PER_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    highest = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft) - 1
    with contextlib.suppress(OSError):  # then it grows later
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, highest))


def remove_drafts(folder: Path) -> None:
    """Remove what a supervisor that was killed while it wrote a page has left."""
    for draft in folder.rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            draft.unlink()
