"""Where a race stands, as a file that travels with its pages: what a mirror shows as a table, and draws as a page."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.core.data import data
from wtrace.core.standing import Standing

if TYPE_CHECKING:
    from pathlib import Path

NAME = "standing.json"
LARGEST = 20_000_000  # bytes

Check = tuple[int, float | None, bool, tuple[float, float] | None]
"""Of one criterion: the epoch, the value, whether it was met, and the ends of its confidence interval."""

Curve = tuple[Check, ...]


@data
class Snapshot:
    """A standing on its way. `closed`: the reports are written, nothing will change any more."""

    schema: int
    closed: bool
    standing: Standing
    curves: dict[str, tuple[Curve, ...]] = field(default_factory=dict)  # by worker, one for each criterion
    checks: dict[str, int] = field(default_factory=dict)  # by worker, also those that the curves leave out
    every_s: float = 60.0  # the next one may be expected after so many seconds


def encode(snapshot: Snapshot) -> str:
    """The file's content; numbers that are not finite become null."""
    import msgspec

    return msgspec.json.encode(snapshot).decode()


def read(folder: Path) -> Snapshot | None:
    """The snapshot in a mirrored `results/`; None where there is none, or one that cannot be understood."""
    import msgspec

    try:
        with (folder / NAME).open("rb") as file:
            data = file.read(LARGEST + 1)
        found = msgspec.json.decode(data, type=Snapshot)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None
    return found if found.schema == 1 else None
