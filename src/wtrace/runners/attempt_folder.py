"""What an attempt's folder says of its processes: `start.claim` and `exit.json`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from wtrace.data import data
from wtrace.files import open_regular, read_small
from wtrace.runners.base import Exit
from wtrace.runners.processes import Identity, Trace, boot_id

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("wtrace")

NOBODY = Trace(None, "", 0)
LARGEST_BYTES = 64 * 1024
MOST_PID = 2**31 - 1
LAST_MOMENT = 1e11  # seconds since 1970
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError)
NO_BOOT = ""  # of a claim that cannot be read: no process that runs can be its


@data
class Claim:
    """Who runs an attempt."""

    worker: Identity
    shim: Identity
    trace: Trace

    @property
    def of_this_boot(self) -> bool:
        """Whether these processes can still exist."""
        return self.worker.boot_id == boot_id()


def read_claim(folder: Path) -> Claim | None:
    """What `start.claim` says, or None while it is not there.

    It appears whole, so one that cannot be read was torn by a power cut: it counts as one of another boot.
    """
    path = folder / "start.claim"
    try:
        written_at = path.lstat().st_mtime
        lines = read_small(path, LARGEST_BYTES).decode().splitlines()
        records = {_text(record, "role"): record for record in map(_object, lines)}
        worker, shim = (_identity(records[role], written_at) for role in ("worker", "shim"))
        trace = Trace(worker, _text(records["shim"], "marker"), _whole(records["shim"], "stamp", 2**62))
        return Claim(worker, shim, trace if worker.boot_id == boot_id() else NOBODY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UNREADABLE:
        nobody = Identity(0, 0, NO_BOOT)
        return Claim(nobody, nobody, NOBODY)


def _identity(record: dict[str, Any], written_at: float) -> Identity:
    pid, ticks = _whole(record, "pid", MOST_PID), _whole(record, "start_ticks", 2**63)
    return Identity(pid, ticks, _text(record, "boot_id"), written_at)


def _object(text: str | bytes) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _text(record: dict[str, Any], name: str) -> str:
    found = record[name]
    if not isinstance(found, str):
        raise TypeError(f"{name} is no text")
    return found


def _whole(record: dict[str, Any], name: str, most: int) -> int:
    """A whole number of that range; True, which Python counts as one, is none."""
    found = record[name]
    if type(found) is not int or not 0 <= found <= most:
        raise ValueError(f"{name} is no whole number up to {most}")
    return found


def read_exit(folder: Path) -> Exit | None:
    """What `exit.json` says, or None while it is not there. One that cannot be read tells of no known exit.

    Whether it is the guardian's own word is for whoever knows the guardian to say.
    """
    path = folder / "exit.json"
    try:
        return _exit_of(_object(read_small(path, LARGEST_BYTES)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UNREADABLE:
        return Exit(code=None, signal=None, known=False, at=time.time())


def _exit_of(record: dict[str, Any]) -> Exit:
    code, signum, known = record["code"], record["signal"], record["known"]
    ends = [
        _whole(record, name, most)
        for name, most in (("code", 255), ("signal", 64))
        if record[name] is not None
    ]
    at = float(record["at"])
    if len(ends) != known or type(known) is not bool or not 0 <= at < LAST_MOMENT:
        raise ValueError("not how a process ends")
    oom, stopped = (record.get(name) is True for name in ("oom", "stopped"))
    return Exit(code, signum, known, at, _whole(record, "leftovers", 2**31), oom, stopped)


def has_sound_exit(folder: Path) -> bool:
    """Whether there is an `exit.json` that says what such a file can say."""
    try:
        return bool(_exit_of(_object(read_small(folder / "exit.json", LARGEST_BYTES))))
    except UNREADABLE:
        return False


def put_exit_aside(folder: Path) -> None:
    """Take an `exit.json` that no guardian wrote, whatever it is, out of the way; it stays beside it. OSError."""
    path = folder / "exit.json"
    if os.path.lexists(path):
        path.rename(folder / f"exit.json.bad-{time.time_ns()}")
        log.warning("%s was none of its guardian's, and was put aside", path)


def write_unknown_exit(folder: Path) -> bool:
    """Make an `exit.json` that says "unknown" appear, unless there is one. False: not now (a full disk)."""
    draft = folder / f"exit.json.{os.getpid()}"
    record = {"code": None, "signal": None, "known": False, "at": time.time(), "leftovers": 0}
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, folder / "exit.json")
        _sync_folder(folder)
    except FileNotFoundError:
        return True  # the folder was removed: there is nothing left to write to
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return True


def request_stop(folder: Path) -> None:
    """Have an attempt that has no `start.claim` yet end before its exec. Without room for it: nothing."""
    with contextlib.suppress(OSError):
        os.close(os.open(folder / "stop.request", os.O_WRONLY | os.O_CREAT, 0o600))


def open_claim(folder: Path) -> int | None:
    """A descriptor of `start.claim`, for `lock_stop`; None where there is none to be had."""
    try:
        return open_regular(folder / "start.claim")
    except OSError:
        return None


def lock_stop(claim: int) -> bool:
    """Whether it falls to the caller to send the worker its only SIGTERM: it has locked `start.claim`.

    False: somebody else has, which leaves it to the shim.
    """
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
