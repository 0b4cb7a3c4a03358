"""What other commands ask of the supervisor: one small file each, taken in the order of their names."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.errors import ToolError
from wtrace.files import read_small
from wtrace.race import events as ev
from wtrace.race.phases import Ended, Running
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.race.state import State

LARGEST_BYTES = 256 * 1024
LONGEST_BY = 200
ASKS = ("stop", "pause", "unpause")
WITHOUT_REQUEST = "make room or make the folder writable; the supervisor reads its requests there"


@data
class Request:
    """What another command asks for; without workers it means all of them."""

    ask: Literal["stop", "pause", "unpause"]
    workers: tuple[str, ...]
    by: str


def leave_request(folder: Path, ask: str, workers: tuple[str, ...], by: str) -> Path:
    """Ask the supervisor (`stop`, `pause`, `unpause`); the file appears whole and vanishes when it was taken.

    ToolError where the disk does not let us.
    """
    name = f"{time.time_ns():020d}-{ask}"
    hidden = folder / f".{name}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        hidden.write_text(json.dumps({"ask": ask, "workers": workers, "by": by}), encoding="utf-8")
        return hidden.rename(folder / f"{name}.json")
    except OSError as error:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise ToolError(
            f"the request to {ask} cannot be left in {folder}", seen=str(error), hint=WITHOUT_REQUEST
        ) from error


def pending_requests(folder: Path) -> Iterator[Path]:
    """Requests that have not been taken yet, oldest first."""
    yield from sorted(folder.glob("[!.]*.json"))


def read_request(path: Path) -> Request | None:
    """What it asks for; None for what nobody of ours wrote: no regular file, too large, or not of that form."""
    try:
        content = json.loads(read_small(path, LARGEST_BYTES))
        ask, workers, by = content["ask"], content.get("workers") or [], content.get("by", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_names = isinstance(workers, list) and all(isinstance(name, str) for name in workers)
    if ask not in ASKS or not is_names or not isinstance(by, str):
        return None
    return Request(ask, tuple(workers), plain(by, LONGEST_BY))


def put_aside(path: Path) -> str:
    """Take what is no request out of the way, so that no supervisor looks at it again; what to tell of it."""
    with contextlib.suppress(OSError):
        path.rename(path.with_name(f".bad-{time.time_ns()}"))
    return f"what lay at requests/{plain(path.name, 80)} is no request of wtrace's, and was put aside"


def remove(path: Path) -> bool:
    """Remove a request that was taken; False: the folder does not let us, and it must not be taken again."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def events_of_request(request: Request, state: State, now: float) -> list[ev.Event]:
    """What a request amounts to."""
    names = [name for name in request.workers if name in state.workers]
    match request.ask:
        case "stop":
            return _stop(names, all_=not request.workers, by=request.by, state=state, now=now)
        case "pause":
            return [ev.WorkerPaused(now, name) for name in names if _may_pause(state, name)]
        case "unpause":
            return [ev.WorkerUnpaused(now, name) for name in names if _is_paused(state, name)]


def _stop(names: list[str], *, all_: bool, by: str, state: State, now: float) -> list[ev.Event]:
    if all_:
        return [ev.StopAsked(now, (), by)]
    left = tuple(name for name in names if not isinstance(state.workers[name].phase, Ended))
    return [ev.StopAsked(now, left, by)] if left else []


def _may_pause(state: State, name: str) -> bool:
    """One that settles could not finish its save."""
    phase = state.workers[name].phase
    return isinstance(phase, Running) and not phase.paused and phase.settling is None


def _is_paused(state: State, name: str) -> bool:
    phase = state.workers[name].phase
    return isinstance(phase, Running) and phase.paused
