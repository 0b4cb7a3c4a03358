"""A repo as a stranger would make it: records that nobody here made, links, commands where nobody expects them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tomllib
from pathlib import Path

from race_lab import Lab

EVERY_COMMAND = [
    ["status"], ["status", "--json"], ["watch"], ["logs", "a"], ["run"], ["run", "--resume"], ["stop"], ["pause", "a"],
    ["report"], ["plot"], ["replay"], ["merge"], ["history"], ["clean"], ["setup"], ["export", "--to", "json"],
]  # fmt: skip


def home_of(lab: Lab) -> Path:
    return lab.root / ".wtrace"


def everything_below(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, links, time and content of every entry, so that any change shows; but what readers of SQLite share."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(("-shm", "-wal")):
            continue
        about = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_nlink, about.st_mtime_ns, content)
    return found


def commit_home(lab: Lab) -> None:
    """Have git track what a race left in `.wtrace/`."""
    (home_of(lab) / ".gitignore").unlink(missing_ok=True)
    lab.git("add", "--force", ".wtrace")
    lab.git("commit", "--quiet", "-m", "a record")


def witness(lab: Lab, name: str = "ran", then: str = "exit 1") -> tuple[Path, Path]:
    """A file that only shows up where a script was run, and the script, which goes on with `then`."""
    mark, script = lab.root.parent / name, lab.root.parent / f"make-{name}"
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\n{then}\n")
    script.chmod(0o755)
    return mark, script


def forget(lab: Lab) -> None:
    """As if this user had never approved or started anything."""
    for folder in (".config", ".local"):
        shutil.rmtree(lab.home / folder, ignore_errors=True)
    lab.env.pop("WTRACE_TRUST", None)


def cut_off(lab: Lab) -> int:
    """A race that has lost its supervisor; returns the pid of its training, which runs on."""
    lab.race({"a": [["mark", "began"], ["wait", "go"], ["check", 5, 2.0]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("began")
    pid: int = lab.wait_for(lambda: lab.worker("a").get("pid"), "the training to be on record")
    kill_supervisor(lab)
    return pid


def kill_supervisor(lab: Lab) -> None:
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")


def rewrite_command(lab: Lab, command: list[str]) -> None:
    """Have the record say that the training is started by another command."""
    config = lab.latest / "config.toml"
    written = tomllib.loads(config.read_text())
    assert written["workers"]["a"]["command"] == ["python", "train.py"]
    config.write_text(
        re.sub(
            r'command = \[\s*"python",\s*"train.py",?\s*\]',
            f"command = {json.dumps(command)}",
            config.read_text(),
        )
    )
    assert tomllib.loads(config.read_text())["workers"]["a"]["command"] == command


def agent_pid(lab: Lab, target: str) -> int:
    """The process that keeps that target's mirror, once it has said who it is."""
    state = lab.latest / "sync" / f"{target}.json"
    lab.wait_for(state.exists, "the mirror's process to tell its number")
    pid: int = json.loads(state.read_text())["pid"]
    return pid
