"""What an attempt's folder says of its processes: `start.claim` and `exit.json`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, Any

from wtrace.core.data import data
from wtrace.runners.base import Exit
from wtrace.runners.processes import Identity, Trace, boot_id

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = Trace(None, "", 0)
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
        written_at = path.stat().st_mtime
        records = {record["role"]: record for record in map(json.loads, path.read_text().splitlines())}
        worker, shim = (_identity(records[role], written_at) for role in ("worker", "shim"))
        trace = Trace(worker, str(records["shim"]["marker"]), int(records["shim"]["stamp"]))
        return Claim(worker, shim, trace if worker.boot_id == boot_id() else NOBODY)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        nobody = Identity(0, 0, NO_BOOT)
        return Claim(nobody, nobody, NOBODY)


def _identity(record: dict[str, Any], written_at: float) -> Identity:
    return Identity(int(record["pid"]), int(record["start_ticks"]), str(record["boot_id"]), written_at)


def read_exit(folder: Path) -> Exit | None:
    """What `exit.json` says, or None while it is not there. One that cannot be read tells of no known exit."""
    path = folder / "exit.json"
    try:
        at = path.stat().st_mtime
        record = json.loads(path.read_bytes())
        how = record["code"], record["signal"], record["known"]
        oom, stopped = (record.get(name) is True for name in ("oom", "stopped"))
        return Exit(*how, record["at"], record["leftovers"], oom, stopped)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Exit(code=None, signal=None, known=False, at=at)


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
        return os.open(folder / "start.claim", os.O_RDONLY | os.O_CLOEXEC)
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
