"""The guardian of one worker: starts it once, keeps its whole tree in hand, and writes down how it ended.

Run by `shim.py` with FOLDER GRACE_S FIRST CWD BOOT_ID MARKER STAMP UMASK UNSET COMMAND … and the worker's environment;
FIRST says who hears SIGTERM first, `leader` (the worker's own process) or `tree`; MARKER is a JSON string, STAMP a number (0: none), UMASK octal or "" (as it is), UNSET a variable to take away or "".
It needs nobody: the supervisor may die, and the exit status is still written.

    SIGTERM  end the tree: SIGTERM and SIGCONT to the leader, to the rest when it has ended or half the grace is over
             (`tree`: to all at once), SIGKILL after the grace
    SIGUSR1  SIGKILL to all, now     SIGTSTP  halt the tree     SIGCONT  let it go on
    SIGUSR2  left pending: the supervisor has sent the worker its SIGTERM itself

One shim runs per worker, so every import counts: `_signal` and `_ctypes` are what `signal` and `ctypes` wrap, without
the 5 ms and the megabyte of `enum`; `contextlib` and `pathlib` are left out for the same reason.
"""
# ruff: noqa: SIM105

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import fcntl
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtrace.runners.shim import shim_guard, shim_kernel
else:
    import shim_guard
    import shim_kernel

NOT_STARTED = 75  # EX_TEMPFAIL: another shim has, or had, this folder
WRITE_FAILED = 74  # EX_IOERR: no room for the log or the claim, so nothing was started
CANNOT_START = 127
PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Guard one worker from its start to the end of its tree; returns the shim's own exit code."""
    path, grace_s, first, cwd, boot_id, marker, stamp, umask, unset, *command = sys.argv[1:]
    detach()
    os.environ.pop(unset, None)
    if umask:
        os.umask(int(umask, 8))
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        open_log(folder)
    except OSError:
        return WRITE_FAILED
    lock = os.open("shim.lock", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return NOT_STARTED
    become_subreaper()
    shim_guard.hear_signals()
    worker, gate = fork_held(cwd, command, int(stamp))
    extra = f', "grace_s": {grace_s}, "marker": {marker}, "stamp": {stamp}'
    lines = identity(worker, boot_id, "worker"), identity(os.getpid(), boot_id, "shim", extra)
    refused = claim(folder, "".join(lines))
    if refused:
        os.close(gate)
        os.waitpid(worker, 0)
        return refused
    guard = shim_guard.Guard(folder, worker, float(grace_s), leader_first=first == "leader")
    guard.release(gate)
    guard.watch()
    shim_guard.write_exit(folder, guard.verdict())
    return 0


def detach() -> None:
    """Leave the session, the folder and the open files of whoever started the shim."""
    try:
        os.setsid()
    except PermissionError:
        pass  # it leads a session already
    os.chdir("/")
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed them
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def open_log(folder: int) -> None:
    """Make `training.log` the standard output and error, of the shim's own last words too."""
    log = os.open(
        "training.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600, dir_fd=folder
    )
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def become_subreaper() -> None:
    """Orphans of the tree become children of the shim, so that only by dying can a process leave the tree."""
    if sys.platform == "linux":
        import _ctypes

        libc = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: what this process has loaded
        prctl = _ctypes.dlsym(libc, "prctl")
        _ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def fork_held(cwd: str, command: list[str], stamp: int) -> tuple[int, int]:
    """Fork the worker, which waits before its exec for one byte; returns its pid and where to write the byte."""
    hold, gate = os.pipe()
    pid = os.fork()
    if pid:
        os.close(hold)
        return pid, gate
    try:
        os.close(gate)
        os.setsid()
        for signum in range(1, signal.NSIG):
            reset(signum)
        if os.read(hold, 1):  # nothing: the shim died, or somebody else has claimed the start
            become(cwd, command, stamp)
    finally:
        os._exit(CANNOT_START)


def reset(signum: int) -> None:
    """The default action for a signal; those that cannot be changed are left alone."""
    try:
        signal.signal(signum, signal.SIG_DFL)
    except (OSError, ValueError):
        pass


def become(cwd: str, command: list[str], stamp: int) -> None:
    """Turn the held child into the worker. Signals that came meanwhile take effect here, before the exec."""
    doing = "enter", cwd
    try:
        os.chdir(cwd)
        doing = "start", command[0]
        put_stamp(stamp)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(command[0], command)  # noqa: S606 (there is no shell, on purpose)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        os.write(2, os.fsencode(f"wtrace: cannot {doing[0]} {doing[1]!r}: {why}\n"))


def put_stamp(stamp: int) -> None:
    """Set a limit so high that it limits nothing; descendants inherit it, whatever they do to their environment."""
    if sys.platform == "linux" and stamp:
        try:
            import resource

            _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
            resource.setrlimit(resource.RLIMIT_RTTIME, (stamp, hard))
        except (ImportError, OSError, ValueError):
            pass  # the marker in the environment is what remains


def identity(pid: int, boot_id: str, role: str, extra: str = "") -> str:
    """One line of JSON that names a process for good: a pid alone is used again."""
    who = f'"role": "{role}", "pid": {pid}, "start_ticks": {shim_kernel.start_ticks(pid)}, "boot_id": "{boot_id}"'
    return f"{{{who}{extra}}}\n"


def claim(folder: int, text: str) -> int:
    """Make `start.claim` appear, whole and at most once; else returns the code to leave with."""
    draft = f"start.claim.{os.getpid()}"
    shim_guard.remove(folder, draft)
    try:
        shim_guard.write_whole(folder, draft, text, sync=False)
        os.link(draft, "start.claim", src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        return NOT_STARTED
    except OSError as error:
        os.write(2, os.fsencode(f"wtrace: cannot write start.claim: {error.strerror}\n"))
        return WRITE_FAILED
    finally:
        shim_guard.remove(folder, draft)
    return 0
