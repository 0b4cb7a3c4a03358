"""What the runners of engines have in common: who has an attempt, what is sent along, and how the loop is woken."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from typing import TYPE_CHECKING, Any

from wtrace.data import data
from wtrace.files import read_small
from wtrace.runners.base import Started

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wtrace.runners.base import Launch

RECORD, LAUNCH = "engine.json", "launch.json"


@data
class Record:
    """`engine.json`: which runner has the attempt and, once it is known, under which name its engine has the job."""

    runner: str
    job: str = ""
    grace_s: float = 10.0


def read_record(folder: Path) -> Record | None:
    """Who has the attempt; None: this machine itself."""
    try:
        content = json.loads(read_small(folder / RECORD))
        return Record(str(content["runner"]), str(content["job"]), float(content["grace_s"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # it appears whole; what else lies there is not ours


def write_record(folder: Path, record: Record) -> None:
    """Note who has the attempt, in a file that is there whole or not at all. Raises OSError."""
    content = {"runner": record.runner, "job": record.job, "grace_s": record.grace_s}
    write_whole(folder / RECORD, json.dumps(content).encode() + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Have a private file appear at once, whole. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def launch_json(
    launch: Launch, folder: str, command: tuple[str, ...], cwd: str, env: Mapping[str, str]
) -> bytes:
    """What `far_entry.py` reads: the launch in terms of the machine that it runs on."""
    content: dict[str, Any] = {
        "folder": folder,
        "command": command,
        "cwd": cwd,
        "env": dict(env),
        "grace_s": float(launch.grace_s),
        "signal": launch.signal,
        "marker": launch.marker or secrets.token_hex(16),
        "stamp": secrets.randbits(60) | 1 << 60,
    }
    return json.dumps(content).encode()


def started_elsewhere(folder: Path, kind: str) -> Started | None:
    """What `start.claim` says of a process on another machine: it has no pid here."""
    try:
        worker = json.loads(read_small(folder / "start.claim").splitlines()[0])
        pid = int(worker["pid"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        pid = 0
    record = read_record(folder)
    job = record.job if record else ""
    return Started(None, f"{kind}:{job}:{pid}")


class Bell:
    """A descriptor that is readable from the moment when a thread rings until `silence`."""

    def __init__(self) -> None:
        self._out, self._into = os.pipe()
        for end in (self._out, self._into):
            os.set_blocking(end, False)

    def ring(self) -> None:
        """Make it readable. Also after `close`: a thread may be late."""
        with contextlib.suppress(OSError):
            os.write(self._into, b"!")

    def silence(self) -> None:
        """Make it unreadable, before what was rung for is taken."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._out, 4096):
                pass

    def fileno(self) -> int:
        """What to wait for."""
        return self._out

    def close(self) -> None:
        """Let go of it."""
        os.close(self._out)
        self._into, into = -1, self._into
        os.close(into)
