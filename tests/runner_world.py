"""A small world for tests of the local runner: real processes, each recognizable by a folder that it cannot shed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from wtrace.runners import attempt_folder, local
from wtrace.runners.base import Launch
from wtrace.runners.local import LocalRunner
from wtrace.runners.processes import PR_SET_CHILD_SUBREAPER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wtrace.runners.base import Exit

PYTHON = (sys.executable, "-I", "-S")
PRELUDE = """
import os, sys, time, signal
LEADER = os.getpid()
def note(word):
    fd = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (word + "\\n").encode())
    os.close(fd)
def is_noted(word):
    return os.path.exists("notes") and word in open("notes").read().split()
def linger(word="ready"):
    note(word)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(1)
def lead():
    "The leader's part: to stay, or to leave with code 9 as soon as the other is ready."
    while "leave" in sys.argv:
        if is_noted("ready"):
            os._exit(9)
        time.sleep(0.01)
    linger("leader")
def escape(*steps):
    "Fork; the child goes through the steps and stays, the parent leads."
    if os.fork():
        lead()
    for step in steps:
        step()
    linger()
def double_fork():
    os.setsid()
    if os.fork():
        os._exit(0)
def ignore_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def be_another(name="python"):
    "A new program with a name of its own and no environment at all."
    open("/proc/self/comm", "w").write(name[:15])
    os.execve(sys.executable, [name, "-I", "-S", __file__, "just linger"], {})
def keep_forking():
    note("ready")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        os.setsid()
if sys.argv[1:] == ["just linger"]:
    linger()
"""
T = TypeVar("T")


def until(happens: Callable[[], T], timeout_s: float = 20.0) -> T:
    """What `happens` returns as soon as it is true. Fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (result := happens()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.003)
    return result


class World:
    """One temporary folder with a runner, and whoever works or has files open in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cwd = root / "cwd"
        self.cwd.mkdir()
        self.runner = LocalRunner()
        self._others: list[LocalRunner] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        until(lambda: not self.kill_all())
        until(lambda: not any(runner.lost() for runner in (self.runner, *self._others)))
        for runner in (self.runner, *self._others):
            runner.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        # What later tests leave behind is not for this process to collect.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def kill_all(self) -> list[int]:
        """SIGKILL to everybody here, guardians included; returns who was found."""
        pids = self.living(shims=True)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    def another_runner(self) -> LocalRunner:
        """As a later or second process of wtrace would make one."""
        self._others.append(LocalRunner())
        return self._others[-1]

    def launch(
        self,
        script: str,
        *,
        name: str = "1",
        grace_s: float = 0.3,
        env: Mapping[str, str] | None = None,
        leave: bool = False,
        first: Literal["leader", "tree"] = "leader",
    ) -> Launch:
        """An attempt to run a script; its folder is made."""
        folder = self.root / "attempts" / name
        folder.mkdir(parents=True, exist_ok=True)
        path = self.root / f"script_{name}.py"
        path.write_text(PRELUDE + script)
        return Launch(
            folder=folder,
            command=(*PYTHON, str(path), *(["leave"] if leave else [])),
            cwd=self.cwd,
            env=os.environ if env is None else env,
            grace_s=grace_s,
            marker=f"{self.root}/{name}",
            signal=first,
        )

    def start(
        self,
        script: str,
        *,
        name: str = "1",
        grace_s: float = 0.3,
        leave: bool = False,
        first: Literal["leader", "tree"] = "leader",
    ) -> Path:
        """Start a script and wait until it is claimed; returns the attempt's folder."""
        launch = self.launch(script, name=name, grace_s=grace_s, leave=leave, first=first)
        self.runner.start(launch)
        until(lambda: self.runner.started(launch.folder))
        return launch.folder

    def notes(self) -> list[str]:
        """What the processes noted so far."""
        path = self.cwd / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, word: str) -> None:
        """Wait until some process notes this."""
        until(lambda: word in self.notes())

    def end_of(self, folder: Path) -> Exit:
        """Wait for the exit; nobody may be left at that moment."""
        ending = until(lambda: self.runner.exited(folder))
        assert ending is not None
        assert self.living() == []
        return ending

    def guardian_of(self, folder: Path) -> int:
        """The pid of the shim."""
        claim = attempt_folder.read_claim(folder)
        assert claim is not None
        return claim.shim.pid

    def losses(self) -> list[Path]:
        """What the runner says to be lost, once its descriptor calls for it."""
        assert select.select([self.runner], [], [], 20)[0]
        return self.runner.lost()

    def living(self, *, shims: bool = False) -> list[int]:
        """Living processes that work in the world's folder or hold a file in it, whatever they call themselves."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [
            pid for pid in pids if pid != os.getpid() and self._is_here(pid) and (shims or not is_shim(pid))
        ]

    def _is_here(self, pid: int) -> bool:
        home = str(self.root)
        links = [Path(f"/proc/{pid}/cwd")]
        with contextlib.suppress(OSError):
            links += Path(f"/proc/{pid}/fd").iterdir()
        for link in links:
            with contextlib.suppress(OSError):
                if str(link.readlink()).startswith(home):
                    return True
        return False


def uncollected() -> set[int]:
    """This process's children that have ended."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return {pid for pid in pids if state_of(pid) == "Z" and parent_of(pid) == os.getpid()}


def parent_of(pid: int) -> int:
    """0 when there is no such process."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return 0


def is_shim(pid: int) -> bool:
    """Whether this is a guardian, a patched one included, or a process that has no memory any more, just to go."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return not command or b"shim.py" in command
    return True


def state_of(pid: int) -> str:
    """R, S, T (halted), Z … as the kernel says; "" when there is no such process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return ""


def patched_shim(root: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the shim in which each of the old texts is replaced: a guard taken out."""
    folder = root / "patched"
    folder.mkdir()
    for source in local.SHIM.parent.glob("shim*.py"):
        shutil.copy(source, folder)
    for old, new in changes:
        hits = [path for path in folder.glob("shim*.py") if old in path.read_text()]
        assert hits, f"nothing to patch: {old!r}"
        for path in hits:
            path.write_text(path.read_text().replace(old, new))
    return folder / "shim.py"
