"""What the page says around its charts: the headline, who leads or has won, a row per worker, and what happened.

Texts from outside leave here on one line, without control characters; the template escapes them for HTML.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from wtrace.data import data, replace
from wtrace.judging import forecast
from wtrace.judging.checks import CriterionStanding
from wtrace.publish import view
from wtrace.publish.view import (
    ALIVE,
    FIRST_NOT_BEST,
    MET,
    SYMBOLS,
    UNMET,
    best_so_far,
    confirmation,
    counts,
    digits_of,
    elapsed_s,
    epoch_pace_s,
    holds,
    how_ended,
    state_of,
    state_word,
    value_of,
    verdict_of,
    winner_of,
)
from wtrace.text import bound, clock, pace, plain, seconds, utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.judging.checks import CheckSummary, CriterionInfo
    from wtrace.race.status import RaceStateName, Standing, WorkerStanding, WorkerState

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


def cells_at(point: CheckSummary, criteria: Sequence[CriterionInfo]) -> list[Cell]:
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


_RACE_TONES: dict[RaceStateName, Tone] = {
    "running": "plain",
    "won": "good",
    "no_winner": "bad",
    "stopped": "warn",
    "interrupted": "warn",
}


@data
class Verdict:
    """Who won, or who is closest."""

    title: str
    who: str | None
    number: int | None
    detail: str
    tone: Tone
    cells: Sequence[Cell]


@data
class Event:
    """Something that happened: the race's time, the moment in UTC, and the words."""

    clock: str
    utc: str
    text: str


@data
class Model:
    """All that the template shows besides the charts and figures."""

    id: str
    name: str
    state: str
    tone: Tone
    at: str
    elapsed: str
    counts: str
    started: str
    ended: str | None
    alone: str | None  # said where nobody supervises a race that has not ended
    verdict: Verdict
    rows: Sequence[Row]
    columns: Sequence[tuple[str, str]]  # the criteria's names and bounds
    events: Sequence[Event]
    check_every: int


def model(standing: Standing) -> Model:
    """The page's words; a pure function of the standing."""
    return Model(
        id=plain(standing.id, NAME_CELLS),
        name=plain(standing.name, NAME_CELLS) or "race",
        state=state_of(standing),
        tone="bad" if _is_alone(standing) else _RACE_TONES[standing.state],
        at=utc(standing.at),
        elapsed=clock(elapsed_s(standing, standing.at)),
        counts=counts(standing.workers) or "no workers",
        started=utc(standing.started),
        ended=None if standing.ended is None else utc(standing.ended),
        alone=_alone(standing),
        verdict=_verdict(standing),
        rows=rows(standing),
        columns=[(plain(c.name, NAME_CELLS), bound(c.op, c.applied)) for c in standing.criteria],
        events=[_event(h.at, h.text, standing.started) for h in reversed(standing.happenings)],
        check_every=standing.check_every,
    )


def _is_alone(standing: Standing) -> bool:
    return standing.ended is None and not standing.supervisor_alive


def _alone(standing: Standing) -> str | None:
    if not _is_alone(standing):
        return None
    return "Nobody supervises this race any more. `wtrace run --resume` on its machine takes it up again."


def _event(at: float, text: str, started: float) -> Event:
    return Event(clock(at - started), utc(at), plain(text, NOTE_CELLS))


def _verdict(standing: Standing) -> Verdict:
    winner = winner_of(standing)
    if winner is not None:
        return _won(standing, winner)
    over = standing.state in ("no_winner", "stopped") or standing.ended is not None
    best = best_so_far(standing)
    if best is None:
        title = "No winner" if over else "No leader yet"
        return Verdict(title, None, None, view.nobody_leads(standing), "bad" if over else "dim", ())
    worker, point = best
    reached, missing = view.leader_words(standing, worker, point, standing.at, _isolated)
    detail = f"{reached}; {missing}." if missing else f"{reached}."
    title = "No winner. Closest" if over else view.lead_title(standing, worker).capitalize()
    return Verdict(
        title,
        plain(worker.name, NAME_CELLS),
        _number_of(standing, worker),
        detail,
        "bad" if over else "plain",
        cells_at(point, standing.criteria),
    )


def _isolated(text: str) -> str:
    """A phrase that holds a name from outside; one that is written from right to left does not turn its neighbours."""
    text = plain(text, NAME_CELLS)
    return text if text.isascii() else f"\u2068{text}\u2069"


def _won(standing: Standing, winner: WorkerStanding) -> Verdict:
    after = (
        ""
        if standing.decided is None
        else f", {seconds(standing.decided - standing.started)} after the start"
    )
    checks = [*winner.recent, *([winner.best] if winner.best else [])]
    winning = next((point for point in checks if point.epoch == standing.winner_epoch), None)
    won_at = (
        cells(winner.criteria, standing.criteria) if winning is None else cells_at(winning, standing.criteria)
    )
    return Verdict(
        "Winner",
        plain(winner.name, NAME_CELLS),
        _number_of(standing, winner),
        f"At epoch {standing.winner_epoch}{after}; {confirmation(standing)}. {FIRST_NOT_BEST}",
        "good",
        won_at,
    )


def _number_of(standing: Standing, worker: WorkerStanding) -> int:
    return standing.workers.index(worker) + 1
