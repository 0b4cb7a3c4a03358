"""A real repo with scripted workers: each branch holds a `script.json` that its training plays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

TRAINING = '''
"""Plays script.json step by step: the stand-in for a training. Standard library only."""
import json, os, pathlib, shutil, signal, subprocess, sys, time

GATES = pathlib.Path(os.environ["LAB_GATES"])
METRICS = os.environ["WTRACE_METRICS"]
OUTPUT = pathlib.Path(os.environ["WTRACE_OUTPUT"])


def write(text):
    with open(METRICS, "ab", buffering=0) as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def report(**record):
    write(json.dumps(record) + "\\n")


def leave(number, frame):
    (OUTPUT / "saved").write_text("saved")
    print("saved and left", flush=True)
    sys.exit(0)


def check(epoch, ratio, accuracy=0.9, n=20, **more):
    samples = {"id": list(range(n)), "persistent": [ratio] * n, "transient": [1.0] * n, "accuracy": [accuracy] * n}
    report(event="check", epoch=epoch, metrics={"val_loss": 0.4}, samples=samples, **more)


def wait_for(gate):
    while not (GATES / gate).exists():
        time.sleep(0.005)


def play(step):
    kind, *values = step
    if kind == "check":
        check(*values)
    elif kind == "epoch":
        report(event="epoch", epoch=values[0], metrics={"train_loss": 0.5})
    elif kind == "raw":
        write(values[0])
    elif kind == "bytes":
        write(bytes(values[0]))
    elif kind == "print":
        print(values[0], flush=True)
    elif kind == "show":  # as a progress bar does: no newline of its own
        print(values[0], end="", flush=True)
    elif kind == "leave":  # a file in the worktree, as trainings do that know of no output folder
        pathlib.Path(values[0]).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(values[0]).write_text(values[1])
    elif kind == "append":
        (OUTPUT / values[0]).parent.mkdir(parents=True, exist_ok=True)
        with open(OUTPUT / values[0], "a") as file:
            file.write(values[1])
    elif kind == "save_slowly":  # into one file, which is whole when its last word stands there
        with open(OUTPUT / values[0], "w") as file:
            for _ in range(20):
                file.write("weights " * 10_000)
                file.flush()
                time.sleep(values[1] / 20)
            file.write("whole")
    elif kind == "remove":
        shutil.rmtree(OUTPUT / values[0])
    elif kind == "wait":
        wait_for(values[0])
    elif kind == "claim":  # a check that meets every criterion, and the checkpoint that it names
        epoch, ratio, name = values
        (OUTPUT / name).write_text("weights")
        check(epoch, ratio, checkpoint=name)
    elif kind == "save_first":  # what an earlier attempt saved is gone on from; the first one saves, and stays
        if not (OUTPUT / values[0]).exists():
            (OUTPUT / values[0]).write_text("saved")
            report(event="check", epoch=1, metrics={}, checkpoint=values[0])
            play(["forever"])
    elif kind == "mark":
        (GATES / values[0]).touch()
    elif kind == "save_on_term":
        signal.signal(signal.SIGTERM, leave)
    elif kind == "ignore_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif kind == "child":
        code = "import os,time; os.setsid(); time.sleep(600)"
        subprocess.Popen([sys.executable, "-I", "-S", "-c", code], env={})
    elif kind == "exit":
        sys.exit(values[0])
    elif kind == "forever":
        while True:
            time.sleep(60)


for step in json.loads(pathlib.Path("script.json").read_text()):
    play(step)
'''

Script = Sequence[Sequence[Any]]

CRITERIA = {
    "ratio": "mean(persistent) / mean(transient) >= 1.5",
    "accuracy": "mean(accuracy) >= 0.75",
}


class Lab:
    """A repo, its workers, and the `wtrace` command run in it as a user would."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repo"
        self.gates = folder / "gates"
        self.home = folder / "home"
        self._started: list[subprocess.Popen[str]] = []
        for made in (self.root, self.gates, self.home):
            made.mkdir(parents=True)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("WTRACE_", "GIT_"))},
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LAB_GATES": str(self.gates),
            "WTRACE_TRUST": "1",
            "WTRACE_FIGURES": "off",  # they take seconds; the tests of the figures switch them on
            "COLUMNS": "120",
        }
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "Lab")
        self.git("config", "user.email", "lab@example.org")
        (self.root / "train.py").write_text(TRAINING)
        (self.root / "script.json").write_text("[]")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "base")

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout

    def branch(self, name: str, script: Script) -> None:
        """A branch whose training plays that script."""
        self.git("switch", "--quiet", "-c", name, "main")
        (self.root / "script.json").write_text(json.dumps(script))
        self.git("commit", "--quiet", "--allow-empty", "-am", name)
        self.git("switch", "--quiet", "main")

    def race(
        self, scripts: Mapping[str, Script], *, extra: str = "", race: str = "", workers: str = ""
    ) -> None:
        """A branch per script and a config that races them."""
        for name, script in scripts.items():
            self.branch(f"try/{name}", script)
        self.write_config(list(scripts), extra=extra, race=race, workers=workers)

    def write_config(
        self, names: Sequence[str], *, extra: str = "", race: str = "", workers: str = ""
    ) -> None:
        criteria = "\n".join(f'{name} = "{text}"' for name, text in CRITERIA.items())
        tables = "\n".join(
            f'[workers.{name}]\nbranch = "try/{name}"\ncommand = ["python", "train.py"]\n{workers}'
            for name in names
        )
        (self.root / "wtrace.toml").write_text(
            f'[race]\nname = "lab"\nbase = "main"\ngrace = 1\n{race}\n[success]\n{criteria}\n{extra}\n{tables}\n'
        )

    def wtrace(
        self, *args: str, expect: int | None = 0, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end and hold its exit code against what is expected."""
        done = subprocess.run(
            self.command(*args), cwd=self.root, env=self.env, capture_output=True, text=True, timeout=timeout_s,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if expect is not None:
            assert done.returncode == expect, self.explain(done)
        assert "Traceback" not in done.stdout + done.stderr, self.explain(done)
        return done

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "wtrace", *args]

    def python(self, code: str, **env: str) -> str:
        """What Python prints, with the lab's environment."""
        command = [sys.executable, "-c", code]
        return subprocess.check_output(command, env={**self.env, **env}, text=True, timeout=30).strip()

    def start(self, *args: str) -> subprocess.Popen[str]:
        """The command in the background, in a session of its own."""
        started = subprocess.Popen(
            self.command(*args), cwd=self.root, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._started.append(started)
        return started

    def end_all(self) -> None:
        """End what a test started and left running (it has failed already)."""
        for started in self._started:
            if started.poll() is None:
                started.kill()
                started.communicate()

    def explain(self, done: subprocess.CompletedProcess[str]) -> str:
        logs = sorted((self.root / ".wtrace" / "races").glob("*/wtrace.log"))
        told = "\n".join(f"--- {log}\n{log.read_text()}" for log in logs[-1:])
        return f"exit code {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}\n{told}"

    def open_gate(self, name: str) -> None:
        (self.gates / name).touch()

    def status(self) -> dict[str, Any]:
        done = self.wtrace("status", "--json")
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def worker(self, name: str) -> dict[str, Any]:
        """That worker's row of the status; while there is no race yet, one that says nothing."""
        nothing: dict[str, Any] = {"state": None, "checks": 0, "exit": None}
        return next((worker for worker in self.status()["workers"] if worker["name"] == name), nothing)

    @property
    def latest(self) -> Path:
        """The folder of the newest race."""
        return (self.root / ".wtrace" / "latest").resolve()

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
        return wait_for(condition, what, timeout_s)

    def wait_for_mark(self, name: str) -> None:
        """Until a worker has made that mark."""
        wait_for((self.gates / name).exists, f"a worker to make the mark {name}")

    def survivors(self) -> list[str]:
        """What still runs of this lab: whatever has its current folder or a log of it open, however it hides."""
        return survivors_of(self.root.parent)


def survivors_of(folder: Path) -> list[str]:
    """Processes that stand in `folder` or hold a file in it open; this one left out."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            links = [process / "cwd", *(process / "fd").iterdir()]
            held = [str(link.readlink()) for link in links]
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            exits = (process / "statm").read_text().startswith("0 ")  # it has no memory any more, just to go
        except OSError:
            continue
        if exits:
            continue
        if "-m wtrace.supervisor.run" in command:
            continue  # the supervisor leaves a moment after its race is over
        if any(f"{target}/".startswith(f"{folder}/") for target in held):
            found.append(f"{process.name}: {command}")
    return found


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """The first true value of the condition; AssertionError when it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain for: {textwrap.shorten(what, 200)}")
