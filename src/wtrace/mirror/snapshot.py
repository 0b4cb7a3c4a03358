"""Where a race stands, as a file that travels with its pages: what a mirror shows as a table, and draws as a page."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.race.status import ClaimStanding, Standing, WorkerStanding

if TYPE_CHECKING:
    from pathlib import Path

NAME = "standing.json"
LARGEST = 20_000_000  # bytes
OPERATORS = {"<", "<=", ">", ">="}
MOST_EPOCHS = 10**9
NOT_SHOWN = re.compile(r"[^ -;=-~]+")
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LATEST = 2.0**36  # seconds since 1970: in two thousand years

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
    winner_left_out: tuple[str, ...] = ()  # files in the winner's output that may not be whole


def encode(snapshot: Snapshot) -> str:
    """The file's content: ASCII without `<`, to be shown anywhere; numbers that are not finite become null."""
    import msgspec

    return NOT_SHOWN.sub(_escaped, msgspec.json.encode(snapshot).decode())


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def read(folder: Path) -> Snapshot | None:
    """The snapshot in a mirrored `results/`; None where there is none, or one that cannot be understood."""
    import msgspec

    try:
        with (folder / NAME).open("rb") as file:
            data = file.read(LARGEST + 1)
        found = msgspec.json.decode(data, type=Snapshot)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None
    return found if found.schema == 1 and _holds_together(found) else None


def _holds_together(found: Snapshot) -> bool:
    """Whether what only a file of somebody else's could get wrong is right: whoever shows it relies on that."""
    standing = found.standing
    names = {row.name for row in standing.workers}
    criteria = len(standing.criteria)
    operators = {each.op for each in standing.criteria}
    operators |= {each.op for row in standing.workers for each in row.criteria}
    times = [standing.at, standing.started, standing.decided, standing.ended, found.every_s]
    times += [at for row in standing.workers for at in (row.started, row.ended)]
    times += [happening.at for happening in standing.happenings]
    return (
        len(names) == len(standing.workers)
        and (standing.winner is None or standing.winner in names)
        and 0 < standing.check_every <= MOST_EPOCHS
        and operators <= OPERATORS
        and all(_is_time(at) for at in times if at is not None)
        and not any(UNWRITABLE.search(name) for name in found.winner_left_out)
        and all(_row_holds_together(row, criteria) for row in standing.workers)
        and all(name in names and len(series) == criteria for name, series in found.curves.items())
        and all(
            0 <= check[0] <= MOST_EPOCHS
            for series in found.curves.values()
            for curve in series
            for check in curve
        )
    )


def _row_holds_together(row: WorkerStanding, criteria: int) -> bool:
    checks = [*row.recent, *([row.best] if row.best else [])]
    return (
        0 <= row.epoch <= MOST_EPOCHS
        and 0 < row.max_epochs <= MOST_EPOCHS
        and all(len(check.values) == len(check.met) == criteria for check in checks)
        and all(0 <= check.epoch <= MOST_EPOCHS and _is_time(check.at) for check in checks)
        and (row.claim is None or _claim_holds_together(row.claim))
    )


def _claim_holds_together(claim: ClaimStanding) -> bool:
    times = [claim.since, claim.timeout_s]
    return 0 <= claim.epoch <= MOST_EPOCHS and all(_is_time(at) for at in times if at is not None)


def _is_time(at: float) -> bool:
    return 0 <= at <= LATEST
