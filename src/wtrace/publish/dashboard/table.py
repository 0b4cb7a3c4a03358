"""The table's rows: each worker's state, epoch and criteria in words, as the terminal's table has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from wtrace.data import data, replace
from wtrace.judging import forecast
from wtrace.judging.checks import CriterionStanding
from wtrace.publish import view
from wtrace.publish.view import (
    ALIVE,
    MET,
    SYMBOLS,
    UNMET,
    digits_of,
    epoch_pace_s,
    holds,
    how_ended,
    state_word,
    value_of,
    verdict_of,
)
from wtrace.text import bound, pace, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.judging.checks import CheckPoint, CriterionInfo
    from wtrace.race.status import Standing, WorkerStanding, WorkerState

Tone = Literal["good", "bad", "warn", "plain", "dim"]

NAME_CELLS = 64
NOTE_CELLS = 300
SPARK_WIDTH, SPARK_HEIGHT = 80, 24

_STATE_TONES: dict[WorkerState, Tone] = {
    "waiting": "dim",
    "running": "plain",
    "confirming": "good",
    "won": "good",
    "paused": "warn",
    "stalled": "warn",
    "retrying": "warn",
    "stopping": "warn",
    "failed": "bad",
    "lost": "bad",
    "refuted": "bad",
}


@data
class Cell:
    """A criterion at one check."""

    label: str
    bound: str
    sign: str  # empty before the first check
    value: str
    why: str  # by how much it falls short, or the reason
    met: bool


@data
class Row:
    """One worker."""

    number: int
    name: str
    branch: str
    commit: str
    control: bool
    won: bool
    symbol: str
    state: str
    tone: Tone
    epoch: int
    max_epochs: int
    cells: Sequence[Cell]
    met: int
    spark: str  # the points of a polyline
    pace: str
    eta: str
    notes: Sequence[str]


def cells_at(point: CheckPoint, criteria: Sequence[CriterionInfo]) -> list[Cell]:
    """Every criterion at one check."""
    rows = zip(criteria, point.values, point.met, strict=False)
    return [_cell(info, _standing(info, value, met), None) for info, value, met in rows]


def _standing(info: CriterionInfo, value: float | None, met: bool) -> CriterionStanding:
    found = CriterionStanding(info.name, value, info.op, info.applied, met)
    again = value is not None and not met and holds(value, info.op, info.applied)
    return replace(found, reason="must hold again") if again else found


def cells(
    found: Sequence[CriterionStanding],
    criteria: Sequence[CriterionInfo],
    digits: Mapping[str, int] | None = None,
) -> list[Cell]:
    """Every criterion of the race, those without a value too. `digits`: as `wording.value_of` has it."""
    by_name = {criterion.name: criterion for criterion in found}
    return [_cell(info, by_name.get(info.name), digits) for info in criteria]


def _cell(info: CriterionInfo, found: CriterionStanding | None, digits: Mapping[str, int] | None) -> Cell:
    label, goal = plain(info.name, NAME_CELLS), bound(info.op, info.applied)
    if found is None:
        return Cell(label, goal, "", "—", "", met=False)
    _, why = verdict_of(found)
    sign = MET if found.met else UNMET
    return Cell(label, goal, sign, value_of(found, digits), plain(why, NAME_CELLS), met=found.met)


def rows(standing: Standing) -> list[Row]:
    """A row for every worker."""
    digits = digits_of(standing)
    return [row(number, worker, standing, digits) for number, worker in enumerate(standing.workers, 1)]


def row(index: int, worker: WorkerStanding, standing: Standing, digits: Mapping[str, int]) -> Row:
    """One worker's row; `index` from 1."""
    alive = worker.state in ALIVE
    return Row(
        number=index,
        name=plain(worker.name, NAME_CELLS),
        branch=plain(worker.branch, NAME_CELLS),
        commit=plain(worker.commit[:8]),
        control=worker.control,
        won=worker.name == standing.winner,
        symbol=SYMBOLS[worker.state],
        state=state_word(worker),
        tone=_STATE_TONES.get(worker.state, "dim"),
        epoch=worker.epoch,
        max_epochs=worker.max_epochs,
        cells=cells(worker.criteria, standing.criteria, digits),
        met=sum(criterion.met for criterion in worker.criteria),
        spark=_spark(worker),
        pace=pace(epoch_pace_s(worker)) if alive else "—",
        eta=_eta(worker, standing),
        notes=_notes(worker),
    )


def _eta(worker: WorkerStanding, standing: Standing) -> str:
    """The forecast in words, as the terminal says it."""
    estimate = view.of_worker(worker, standing, standing.at)
    return "—" if estimate is None else plain(forecast.describe(estimate), NAME_CELLS)


def _notes(worker: WorkerStanding) -> list[str]:
    """How it ended where the state alone does not say it, its note, and its bad lines."""
    told = how_ended(worker).removeprefix(state_word(worker)).strip(" ()")
    parts = [told] if told and worker.state not in ALIVE else []
    if worker.note:
        parts.append(plain(worker.note, NOTE_CELLS))
    if worker.bad_lines:
        parts.append(f"{worker.bad_lines} bad metrics line{'s' if worker.bad_lines > 1 else ''}")
    return parts


def _spark(worker: WorkerStanding) -> str:
    """The first criterion's recent checks as the points of a small polyline."""
    found = [p.values[0] for p in worker.recent if p.values]
    values = [value for value in found if value is not None and math.isfinite(value)]
    if len(values) < 2:
        return ""
    low, span = min(values), (max(values) - min(values)) or 1.0
    if not math.isfinite(span):
        return ""
    step = (SPARK_WIDTH - 6) / (len(values) - 1)
    rows = enumerate(values)
    return " ".join(
        f"{3 + i * step:.0f},{SPARK_HEIGHT - 4 - (v - low) / span * (SPARK_HEIGHT - 8):.1f}" for i, v in rows
    )
