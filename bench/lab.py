"""A throw-away repo whose workers play a script, raced by the real `wtrace` command or started bare."""

from __future__ import annotations

import compileall
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marks import PID, Marks, wait_for

import wtrace
from wtrace.race.paths import Layout
from wtrace.store.home import is_locked
from wtrace.store.reader import Reader

HERE = Path(__file__).parent
SCRIPTED = HERE / "scripted"
ONE_METRIC = {"score": "score >= 0.9"}
FIRST_RACE = {
    "attention_ratio": "mean(persistent) / mean(transient) >= 1.5",
    "val_accuracy": "mean(accuracy) >= 0.75",
    "separation": "p_greater(persistent, transient, 1.3) < 0.01",
    "consistency": "fraction(persistent / transient > 1.3) >= 0.70",
    "samples": "count(persistent) >= 20",
}

# As whoever installs wtrace has it: an editable install is compiled at its first use, or, where the environment forbids
# that (PYTHONDONTWRITEBYTECODE), anew at each.
compileall.compile_dir(Path(wtrace.__file__).parent, quiet=2)


def console() -> list[str]:
    """The `wtrace` command as a user starts it."""
    script = Path(sys.executable).with_name("wtrace")
    return [str(script)] if script.exists() else [sys.executable, "-m", "wtrace"]


class Lab:
    """A repo with one branch and one worker per name; all play the same script."""

    def __init__(
        self,
        folder: Path,
        script: str,
        workers: int,
        *,
        criteria: Mapping[str, str] = ONE_METRIC,
        race: str = "",
        files: int = 40,
        command: Sequence[str] = ("python", "script.py"),
    ) -> None:
        self.folder = folder
        self.root = folder / "repo"
        self.names = [f"w{number}" for number in range(workers)]
        self.marks = Marks(folder / "marks", workers)
        self.env = self._environment()
        self.root.mkdir()
        (folder / "home").mkdir()
        self._command = command
        self._make_repo(script, files)
        self.write_config(criteria, race)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WTRACE_", "GIT_"))}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "home" / ".config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Lab", "GIT_AUTHOR_EMAIL": "lab@example.org",
            "GIT_COMMITTER_NAME": "Lab", "GIT_COMMITTER_EMAIL": "lab@example.org",
            "WTRACE_TRUST": "1",
            "BENCH_MARKS": str(self.marks.path),
            "COLUMNS": "120",
        }  # fmt: skip

    def _make_repo(self, script: str, files: int) -> None:
        self.git("init", "--quiet", "--initial-branch", "main")
        shutil.copy(SCRIPTED / script, self.root / f"script{Path(script).suffix}")
        for number in range(files):
            (self.root / f"module_{number}.py").write_text(f"VALUE = {number}\n" * 50)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "base")
        branches = "".join(f"create refs/heads/try/{name} HEAD\n" for name in self.names)
        self.git("update-ref", "--stdin", text=branches)

    def write_config(self, criteria: Mapping[str, str] = ONE_METRIC, race: str = "") -> None:
        """The race's goal, and what else its `[race]` table holds."""
        goal = "\n".join(f'{name} = "{text}"' for name, text in criteria.items())
        words = ", ".join(f'"{word}"' for word in self._command)
        tables = "\n".join(
            f'[workers.{name}]\nbranch = "try/{name}"\ncommand = [{words}]' for name in self.names
        )
        (self.root / "wtrace.toml").write_text(
            f'[race]\nname = "bench"\nbase = "main"\nmax_parallel = {len(self.names)}\n{race}\n[success]\n{goal}\n{tables}\n'
        )

    def git(self, *args: str, text: str | None = None) -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=self.root,
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
            input=text,
        )
        return done.stdout

    def wtrace(self, *args: str, timeout_s: float = 120.0) -> str:
        """Run the command to its end; CalledProcessError where it fails."""
        done = subprocess.run(
            [*console(), *args], cwd=self.root, env=self.env, capture_output=True, text=True,
            timeout=timeout_s, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if done.returncode not in (0, 1):
            raise RuntimeError(f"wtrace {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start_race(self) -> int:
        """Start the race apart from any terminal, wait until every worker runs; returns the supervisor's pid."""
        self.marks.reset()
        self.wtrace("run", "--detach")
        self.marks.wait_all(PID)
        wait_for(lambda: self.count_running() == len(self.names), "the supervisor to have seen them all")
        return self.supervisor

    def count_running(self) -> int:
        with Reader(self.layout.database) as reader:
            latest = reader.latest()
            standing = None if latest is None else reader.standing(latest)
        return 0 if standing is None else sum(worker.pid is not None for worker in standing.workers)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def supervisor(self) -> int:
        """The pid of the process that supervises the race."""
        wanted = f"{self.root}".encode()
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
                if b"wtrace.supervisor.run" in words and wanted in words:
                    return int(process.name)
        raise RuntimeError("no supervisor runs")

    def stop_race(self) -> None:
        self.wtrace("stop")
        self.wait_until_over()

    def wait_until_over(self, timeout_s: float = 120.0) -> None:
        """Until the supervisor has written its report and left."""
        wait_for(lambda: not is_locked(self.layout), "the race to be over", timeout_s)

    def bare_environment(self, number: int) -> dict[str, str]:
        """What a worker is given when it is started without wtrace."""
        output = self.folder / "bare" / self.names[number]
        output.mkdir(parents=True, exist_ok=True)
        return {
            **self.env,
            "WTRACE_WORKER": self.names[number],
            "WTRACE_METRICS": str(output / "metrics.jsonl"),
            "WTRACE_OUTPUT": str(output),
        }

    def end_all(self) -> None:
        """End whatever a failed round left: all that stands in this folder."""
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                stands = str((process / "cwd").readlink())
                names = (process / "cmdline").read_bytes()
                if stands.startswith(f"{self.folder}/") or f"{self.folder}/".encode() in names:
                    os.kill(int(process.name), signal.SIGKILL)


@contextlib.contextmanager
def lab(script: str, workers: int, **settings: Any) -> Iterator[Lab]:
    """A lab in a temporary folder; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wtrace-bench-"))
    made = Lab(folder, script, workers, **settings)
    try:
        yield made
    finally:
        made.end_all()
        made.marks.close()
        shutil.rmtree(folder, ignore_errors=True)


class Watch:
    """Learns at once when processes, not necessarily this one's children, have ended."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._epoll = select.epoll()
        self._open: dict[int, int] = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                self._open[descriptor] = pid
                self._epoll.register(descriptor, select.EPOLLIN)

    @property
    def alive(self) -> list[int]:
        return list(self._open.values())

    def wait(self, timeout_s: float) -> float:
        """Until all have ended or the time is over; returns when the last one did (monotonic seconds)."""
        deadline = time.monotonic() + timeout_s
        last = time.monotonic()
        while self._open and (left_s := deadline - time.monotonic()) > 0:
            for descriptor, _ in self._epoll.poll(left_s):
                last = time.monotonic()
                self._epoll.unregister(descriptor)
                os.close(descriptor)
                del self._open[descriptor]
        return last

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._epoll.close()


def cpu_s(pid: int) -> float:
    """CPU seconds that the process has used; exact to the nanosecond, unlike its clock ticks."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory_bytes(pid: int, what: str = "Rss") -> int:
    """Resident (`Rss`), proportional (`Pss`) or unique (`Private`) bytes of the process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
