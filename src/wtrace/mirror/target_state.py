"""How each target was last reached: one small file per target in the race's folder, written whole. `brief` reads
them for status."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Literal

from wtrace.data import data

if TYPE_CHECKING:
    from pathlib import Path

Stage = Literal["waiting", "sending", "trying again", "delivered", "given up"]
LAST = ("delivered", "given up")
"""Stages that no other follows."""


@data
class TargetState:
    """Where the mirror on one target stands. Times are seconds since 1970."""

    target: str
    host: str = ""
    stage: Stage = "waiting"
    last_reached: float | None = None  # when all that was to be sent had arrived
    error: str | None = None  # what is in the way now, on one line
    hint: str | None = None  # its mend
    seen: str | None = None  # ssh's or rsync's own words
    failing_since: float | None = None
    tries: int = 0  # that failed, since it was last reached
    next_try: float | None = None
    verified: float | None = None  # when the results were compared by checksum, at the end
    pid: int | None = None  # of the process that keeps the mirror


def sync_folder(race: Path) -> Path:
    """Where a race keeps these files, beside what its agents log."""
    return race / "sync"


def state_file(race: Path, target: str) -> Path:
    """The file of one target."""
    return sync_folder(race) / f"{target}.json"


def encode(state: TargetState) -> str:
    """The file's content."""
    return json.dumps(asdict(state), indent=1) + "\n"


def read_state(path: Path) -> TargetState | None:
    """What is known of a target; None where there is no file, or one that is not of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("target"), str):
        return None
    known = {field.name for field in fields(TargetState)}
    state = TargetState(**{name: value for name, value in content.items() if name in known})
    times = (state.last_reached, state.failing_since, state.next_try, state.verified)
    fits = all(time is None or isinstance(time, int | float) for time in times)
    return state if fits and isinstance(state.error, str | None) else None
