"""What other commands ask of the supervisor: one small file each, taken in the order of their names."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from wtrace.core import events as ev
from wtrace.core.phases import Ended, Running
from wtrace.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.core.state import State

WITHOUT_REQUEST = "make room or make the folder writable; the supervisor reads its requests there"


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


def events_of_request(path: Path, state: State, now: float) -> list[ev.Event]:
    """What a request amounts to. A file that nobody of ours wrote amounts to nothing."""
    request: object = None
    with contextlib.suppress(OSError, ValueError):
        request = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(request, dict):
        return []
    names = [name for name in request.get("workers") or () if name in state.workers]
    match request.get("ask"):
        case "stop":
            return _stop(
                names, all_=not request.get("workers"), by=str(request.get("by", "")), state=state, now=now
            )
        case "pause":
            return [ev.WorkerPaused(now, name) for name in names if _may_pause(state, name)]
        case "unpause":
            return [ev.WorkerUnpaused(now, name) for name in names if _is_paused(state, name)]
        case _:
            return []


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
