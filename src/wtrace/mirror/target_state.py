"""How each target was last reached: one small file per target in the race's folder, written whole. `brief` reads
them for status."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from typing import Literal

from wtrace.data import data
from wtrace.race import quickjson

TYPE_CHECKING = False  # importing `typing` costs as much as reading the files

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


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Row = Mapping[str, Any]

TIMES = ("last_reached", "failing_since", "next_try", "verified")
TEXTS = ("error", "hint", "stage")
LARGEST = 100_000  # bytes


def read_rows(race: str) -> list[Row]:
    """One row per target of the race whose folder this is, by name; a file that is none of ours is left out."""
    folder = os.path.join(race, "sync")  # noqa: PTH118 (pathlib costs more than the whole answer)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))  # noqa: PTH208
    except OSError:
        return []
    rows = (_row(os.path.join(folder, name)) for name in names)  # noqa: PTH118
    return [row for row in rows if row is not None]


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The list `sync` of `wtrace status --json`."""
    from wtrace.race.status_json import iso

    return [{name: iso(value) if name in TIMES else value for name, value in row.items()} for row in rows]


def state_line(row: Row, now: float) -> str:
    """One line for a person: `macbook: last reached 12 min ago; it does not answer …`. Safe for a terminal."""
    from wtrace.text import plain, seconds

    told = f"{plain(row['target'])}: {reached_text(row['last_reached'], now)}"
    if row["stage"] == "delivered":
        return f"{told}; everything is there{', checked' if row['verified'] else ''}"
    if row["error"] is None:
        return told
    told += f"; {plain(row['error'], 200)}"
    if row["stage"] == "given up":
        return f"{told}; given up"
    return (
        told if row["next_try"] is None else f"{told}; next try in {seconds(max(0.0, row['next_try'] - now))}"
    )


def reached_text(at: float | None, now: float) -> str:
    """`last reached 12 min ago`."""
    from wtrace.text import ago

    return "not reached yet" if at is None else f"last reached {ago(max(0.0, now - at))}"


def _row(path: str) -> Row | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            content = quickjson.loads(file.read(LARGEST).decode())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("target"), str):
        return None
    row = {"target": content["target"]}
    for name in (*TIMES, *TEXTS):
        value = row[name] = content.get(name)
        if not (value is None or isinstance(value, int | float if name in TIMES else str)):
            return None
    return row
