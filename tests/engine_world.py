"""A branch to run at any of the places, and everybody who was started from it: they stand in one folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from race_lab import survivors_of, wait_for
from runner_world import PRELUDE
from wtrace.git.commit import export_commit
from wtrace.runners import engine
from wtrace.runners.base import Exit, Launch, Needs, Parcel, Runner

if TYPE_CHECKING:
    from collections.abc import Callable

STARTS_WITHIN_S = 60.0  # Ray takes three seconds where nothing else wants the machine
STAND = "import os; TREE = os.getcwd(); os.chdir(os.environ.get('NOTES', '.'))\n"


class Place:
    """One place, as a supervisor would use it."""

    def __init__(self, kind: str, root: Path, make: Callable[[], Runner]) -> None:
        self.kind, self.root, self._make = kind, root, make
        self.notes_folder = root / "notes"
        self.output = root / "race" / "worker" / "output"
        self.worktree = root / "worktree"
        for folder in (self.notes_folder, self.output, self.worktree):
            folder.mkdir(parents=True)
        self.git("init", "--quiet")
        self.runner = make()
        self.lost: list[Path] = []

    def git(self, *args: str) -> None:
        who = ("-c", "user.name=Lab", "-c", "user.email=lab@example.org")
        subprocess.run(["git", *who, *args], cwd=self.worktree, check=True, capture_output=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for folder in self.output.parent.glob("attempts/*"):
            if self.runner.exited(folder) is None:
                self.runner.stop(folder)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.kill_all(), "everybody to go", 10)
        self.runner.lost()
        self.runner.close()

    def another_supervisor(self) -> None:
        """The one before is gone; what it started runs on."""
        self.runner.close()
        self.runner = self._make()

    def launch(
        self,
        script: str,
        *,
        number: int = 1,
        grace_s: float = 1.0,
        first: Literal["leader", "tree"] = "leader",
        **needs: Any,
    ) -> Launch:
        """An attempt to run a script that the branch holds; its folder is made."""
        (self.worktree / "train.py").write_text(STAND + PRELUDE + script)
        self.git("add", "train.py")
        self.git("commit", "--quiet", "--allow-empty", "-m", "script")
        folder = self.output.parent / "attempts" / str(number)
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").touch(mode=0o600)
        added = {"NOTES": str(self.notes_folder), "WTRACE_METRICS": str(folder / "metrics.jsonl")}
        if self.kind != "local":
            engine.write_record(folder, engine.Record(self.kind, grace_s=grace_s))
        return Launch(
            folder=folder,
            command=(sys.executable, "-I", "-S", "train.py", str(self.output)),
            cwd=self.worktree,
            env={**os.environ, **added},
            grace_s=grace_s,
            marker=f"{self.root.name}-{number}",
            runner=self.kind,
            needs=Needs(**needs),
            signal=first,
            parcel=Parcel(self.worktree, self.output, partial(export_commit, self.worktree, "HEAD"), added),
        )

    def start(self, script: str, **options: Any) -> Path:
        """Start a script and wait until it runs; returns the attempt's folder."""
        launch = self.launch(script, **options)
        self.runner.start(launch)
        self.until(lambda: self._begun(launch.folder), "the worker to start", STARTS_WITHIN_S)
        assert self.runner.started(launch.folder), self.runner.exited(launch.folder)
        return launch.folder

    def _begun(self, folder: Path) -> bool:
        return self.runner.started(folder) is not None or self.runner.exited(folder) is not None

    def until(self, happens: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
        """Turn as the supervisor's loop does, until it happens."""

        def turn() -> Any:
            self.runner.news()
            self.lost += self.runner.lost()
            return happens()

        return wait_for(turn, f"{what} on {self.kind}", timeout_s)

    def end_of(self, folder: Path, timeout_s: float = 40.0) -> Exit:
        """Wait for the exit; nobody may be left at that moment."""
        ending: Exit = self.until(lambda: self.runner.exited(folder), "the exit", timeout_s)
        assert self.living() == []
        return ending

    def notes(self) -> list[str]:
        path = self.notes_folder / "notes"
        return path.read_text().split() if path.exists() else []

    def wait_for_note(self, word: str) -> None:
        self.until(lambda: word in self.notes(), f"the note {word}")

    def guardian_of(self, folder: Path) -> int:
        """The pid of the shim; the nodes of the tests are this machine."""
        pid: int = json.loads((folder / "start.claim").read_text().splitlines()[1])["pid"]
        return pid

    def tell(self, word: str) -> None:
        """What scripts find by `is_noted`."""
        with (self.notes_folder / "notes").open("a") as file:
            file.write(word + "\n")

    def living(self) -> list[str]:
        return survivors_of(self.notes_folder)

    def kill_all(self) -> list[str]:
        found = self.living()
        for line in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split(":")[0]), signal.SIGKILL)
        return found
