"""How each target was last reached, for `wtrace status`: read from the agents' files, importing next to nothing."""

from __future__ import annotations

import os

from wtrace.race import quickjson

TYPE_CHECKING = False  # importing `typing` costs as much as reading the files
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Row = Mapping[str, Any]

TIMES = ("last_reached", "failing_since", "next_try", "verified")
TEXTS = ("error", "hint", "stage")
LARGEST = 100_000  # bytes


def read(race: str) -> list[Row]:
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


def line(row: Row, now: float) -> str:
    """One line for a person: `macbook: last reached 12 min ago; it does not answer …`. Safe for a terminal."""
    from wtrace.text import plain, seconds

    told = f"{plain(row['target'])}: {reached(row['last_reached'], now)}"
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


def reached(at: float | None, now: float) -> str:
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
