"""What the shim does after the start: watch the tree of its worker, end it when asked, and write `exit.json`.

A file beside `shim.py`, of the standard library alone, so that it is compiled once and not at every start.
"""
# pathlib and contextlib are slow to import
# ruff: noqa: SIM105

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import fcntl
import os
import sys
import time

from shim_kernel import began_after, children, oom_kills, uptime  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LINGER_S = 0.1  # helpers that leave by themselves when the leader has gone (multiprocessing's) get this long
SURVIVOR_S = (0.02, 0.5)  # from, to: between SIGKILL passes over processes that take their time to die
FULL_DISK_S = 0.5
TOLD_AGO_S = 0.5  # a leader that somebody else has told may know for so long

STOP, KILL, PAUSE, GO_ON = signal.SIGTERM, signal.SIGUSR1, signal.SIGTSTP, signal.SIGCONT
HEARD = (STOP, KILL, PAUSE, GO_ON, signal.SIGCHLD, signal.SIGALRM)
TOLD = signal.SIGUSR2  # never taken: pending, it says that the leader was sent its SIGTERM by the supervisor
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)
SUBREAPER = sys.platform == "linux"  # without it, orphans have to be looked for
CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # a file for each thread


def hear_signals() -> None:
    """Keep all signals that mean something pending until `wait` takes them; none can be lost or interrupt."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*HEARD, TOLD))
    for signum in HEARD:
        signal.signal(signum, lambda *_: None)  # BSD drops a blocked signal whose default is to be ignored
    for signum in IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)


def wait(timeout_s: float) -> int:
    """The next signal; SIGALRM after `timeout_s` (0: never)."""
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    return int(signal.sigwait(HEARD))


def write_whole(folder: int, name: str, text: str, *, sync: bool) -> None:
    """Write a file that is not yet in its place. Raises OSError, also for a disk that takes only a part."""
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
    try:
        rest = text.encode()
        while rest:
            rest = rest[os.write(file, rest) :]
        if sync:
            os.fsync(file)
    finally:
        os.close(file)


def remove(folder: int, name: str) -> None:
    """Remove a draft; one that is not there needs no removing."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        pass


def clear(folder: int, name: str) -> None:
    """Take away what the worker has put where a file of the shim's belongs; a folder is put aside."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except OSError:  # a folder, which may hold anything
        os.rename(name, f"{name}.bad-{time.time_ns()}", src_dir_fd=folder, dst_dir_fd=folder)


def write_exit(folder: int, text: str) -> None:
    """Make `exit.json` appear, whole, as soon as there is room for it; give up only when the folder is gone."""
    draft = f"exit.json.{os.getpid()}"
    while True:
        try:
            clear(folder, draft)
            clear(folder, "exit.json")
            write_whole(folder, draft, text, sync=True)
            os.rename(draft, "exit.json", src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            return
        except FileNotFoundError:
            return  # a file can be made in any folder but one that was removed
        except OSError:
            remove(folder, draft)
            wait(FULL_DISK_S)


def tree() -> Iterator[int]:
    """Every process below the shim, each before its children are looked up."""
    look_up, queue = (children, [os.getpid()]) if CHILDREN else shim_table().take(subreaper=SUBREAPER)
    seen = set(queue)
    for pid in queue:
        for child in look_up(pid):
            if child not in seen:
                seen.add(child)
                queue.append(child)
                yield child
    if not CHILDREN and SUBREAPER:
        for pid in shim_table().newest(seen):
            if pid not in seen:
                seen.add(pid)
                yield pid


def shim_table() -> Any:
    """The module beside this one, which few systems need."""
    import shim_table as module  # type: ignore[import-not-found]

    return module


def send(pid: int, *signums: int) -> bool:
    """Signal one process of the tree, found a moment ago; False when it has gone or is not ours to signal."""
    try:
        for signum in signums:
            os.kill(pid, signum)
    except OSError:
        return False
    return True


def everybody() -> list[int]:
    """The tree in two walks, since one misses the children of a process that ends meanwhile."""
    return list(dict.fromkeys([*tree(), *tree()]))


def pause() -> None:
    """SIGSTOP to all, until two looks at the tree agree: who was forking meanwhile is halted too."""
    before: list[int] | None = None
    for _ in range(100):
        halted = [pid for pid in tree() if send(pid, signal.SIGSTOP)]
        if halted == before:
            return
        before = halted
        time.sleep(0.001)


class Guard:
    """The tree under the shim, from the release of the leader until nobody is left."""

    def __init__(self, folder: int, leader: int, grace_s: float, *, leader_first: bool) -> None:
        self.folder = folder
        self.leader = leader
        self.grace_s = grace_s
        self.leader_first = leader_first  # else all hear SIGTERM at once
        self.stopping = False
        self.knows_since = 0.0  # seconds since boot: whom the leader forks from then on may be saving
        self.status: int | None = None  # the leader's, as waitpid gives it
        self.ended_at = 0.0  # seconds since 1970
        self.term_at: float | None = None  # monotonic, like kill_at: when the rest gets its SIGTERM
        self.kill_at: float | None = None
        self.patience_s = SURVIVOR_S[0]
        self.told: set[int] = set()  # who had SIGTERM
        self.killed: set[int] = set()
        self.leftovers: set[int] = set()
        self.oom_kills = oom_kills()  # as this began

    def release(self, gate: int) -> None:
        """Let the leader go on to its exec; if a stop came first, it ends right there."""
        if os.access("stop.request", os.F_OK, dir_fd=self.folder):
            self.stop()
        os.write(gate, b"g")
        os.close(gate)

    def watch(self) -> None:
        """Reap, and obey signals and deadlines, until the whole tree has gone."""
        while not self.reap():
            signum = wait(self.act())
            if signum == STOP:
                self.stop()
            elif signum == KILL:
                self.kill_at = time.monotonic()
            elif signum == PAUSE and self.kill_at is None:
                pause()
            elif signum == GO_ON:
                for pid in list(tree()):
                    send(pid, signal.SIGCONT)

    def reap(self) -> bool:
        """Collect who has died. True when nobody is left: an orphan is a subreaper's child before its parent
        can be reaped, so there no children means no descendants."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return SUBREAPER or not any(tree())
            if pid == 0:
                return False
            if pid == self.leader and self.status is None:
                self.status = status
                self.ended_at = time.time()
                self.term_at = time.monotonic() + (0 if self.stopping else LINGER_S)

    def act(self) -> float:
        """Do what is due; returns the seconds until something else is (0: nothing is)."""
        now = time.monotonic()
        if self.term_at is not None and now >= self.term_at:
            self.term_at = None
            self.terminate()
        if self.kill_at is not None and now >= self.kill_at:
            self.kill()
            self.patience_s = min(self.patience_s * 1.2, SURVIVOR_S[1])
            return self.patience_s
        due = [at for at in (self.term_at, self.kill_at) if at is not None]
        return max(min(due) - now, 0.001) if due else 0

    def stop(self) -> None:
        """The first rung of the ladder, once."""
        if self.stopping:
            return
        self.stopping = True
        self.knows_since = uptime()
        if not self.tells_leader():  # somebody did, some time ago
            self.told.add(self.leader)
            self.knows_since -= TOLD_AGO_S
        if self.leader_first and self.status is None:
            self.tell_leader()
        else:
            self.terminate()

    def tell_leader(self) -> None:
        """SIGTERM to the leader alone, which may need the rest in order to save; all that are halted go on."""
        if self.leader not in self.told:
            send(self.leader, STOP)
            self.told.add(self.leader)
        for pid in everybody():
            send(pid, signal.SIGCONT)
        now = time.monotonic()
        self.term_at = now + self.grace_s / 2
        self.kill_before(now + self.grace_s)

    def tells_leader(self) -> bool:
        """Whether it falls to the shim to send the leader its only SIGTERM (a second one may mean "at once!").

        Who holds the lock on `start.claim` sends it. A supervisor's lock ends with it, its note remains.
        """
        if TOLD in signal.sigpending():
            return False
        try:
            fcntl.flock(
                os.open("start.claim", os.O_RDONLY, dir_fd=self.folder), fcntl.LOCK_EX | fcntl.LOCK_NB
            )
        except BlockingIOError:
            return False
        except OSError:
            pass  # nobody else can have it either: the folder is gone, or there are no locks here
        return True

    def terminate(self) -> None:
        """SIGTERM to all who had none, then SIGCONT, since it stays pending in a halted process."""
        for pid in everybody():
            if pid not in self.told and not self.may_save(pid) and send(pid, STOP, signal.SIGCONT):
                self.told.add(pid)
                if not self.stopping:
                    self.leftovers.add(pid)
        self.kill_before(time.monotonic() + self.grace_s)

    def may_save(self, pid: int) -> bool:
        """Whether the leader, still there, forked it when it knew already: then it has until the SIGKILL."""
        return self.stopping and self.status is None and began_after(pid, self.knows_since)

    def kill_before(self, deadline: float) -> None:
        """Let no SIGKILL be later than that."""
        self.kill_at = deadline if self.kill_at is None else min(self.kill_at, deadline)

    def kill(self) -> None:
        """SIGKILL to all, again and again while new ones turn up: a tree that keeps forking must be outrun."""
        fresh = True
        while fresh and not self.reap():
            fresh = False
            for pid in tree():
                if send(pid, signal.SIGKILL) and pid not in self.killed:
                    fresh = True
                    self.killed.add(pid)
                    if self.status is not None:
                        self.leftovers.add(pid)

    def verdict(self) -> str:
        """How the leader ended, as `exit.json` says it."""
        code = os.waitstatus_to_exitcode(self.status or 0)
        how = f'"code": {code}, "signal": null' if code >= 0 else f'"code": null, "signal": {-code}'
        if code == -signal.SIGKILL and self.leader not in self.killed and oom_kills() > self.oom_kills:
            how += ', "oom": true'
        if self.stopping:
            how += ', "stopped": true'
        return f'{{{how}, "known": true, "at": {self.ended_at:.6f}, "leftovers": {len(self.leftovers)}}}\n'
