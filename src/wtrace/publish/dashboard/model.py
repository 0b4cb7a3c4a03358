"""What the page says around its charts: the headline, who leads or has won, a row per worker, and what happened.

Texts from outside leave here on one line, without control characters; the template escapes them for HTML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.publish.dashboard.table import NAME_CELLS, NOTE_CELLS, Cell, Row, Tone, cells, cells_at, rows
from wtrace.publish.view import (
    FIRST_NOT_BEST,
    best_so_far,
    confirmation,
    counts,
    elapsed_s,
    needs,
    state_of,
    winner_of,
)
from wtrace.text import bound, clock, plain, seconds, utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtrace.judging.checks import CheckPoint
    from wtrace.race.status import RaceStateName, Standing, WorkerStanding

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
        return Verdict(title, None, None, "No check has been judged.", "bad" if over else "dim", ())
    worker, point = best
    detail = f"{sum(point.met)} of {len(standing.criteria)} criteria met at epoch {point.epoch}; {_still(standing, worker, point)}."
    title = "No winner. Closest" if over else "Leader"
    return Verdict(
        title,
        plain(worker.name, NAME_CELLS),
        _number_of(standing, worker),
        detail,
        "bad" if over else "plain",
        cells_at(point, standing.criteria),
    )


def _still(standing: Standing, worker: WorkerStanding, point: CheckPoint) -> str:
    if worker.state == "confirming":
        return "a claim of it is being confirmed on held-out data"
    lacking = needs(point, standing.criteria)
    return f"needs {', '.join(map(_isolated, lacking))}" if lacking else "nothing is missing"


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
