"""A worker's row as cells: what the plain table and the live view show, before it is laid out.

A cell is a tuple of pieces, each a text that is safe for a terminal and the name of a style.
"""

from __future__ import annotations

from wtrace.judging import forecast
from wtrace.publish import view
from wtrace.publish.view import ALIVE, SYMBOLS, epoch_of, epoch_pace_s, gap, how_ended, state_word, verdict_of
from wtrace.text import cells, cut, pace, plain, signed, sparkline

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.judging.checks import CriterionInfo, CriterionStanding
    from wtrace.judging.forecast import Estimate
    from wtrace.race.status import Standing, WorkerStanding, WorkerState

Piece = tuple[str, str]
Cell = tuple[Piece, ...]
Cells = dict[str, Cell]

NOTHING: Cell = (("—", "dim"),)
NAME_CELLS = 40
LONGEST_NOTE = 700  # characters
MOST_NOTE_LINES = 4
SPARK_CELLS = 16

_INDENT = "    "
_STATE_STYLES: dict[WorkerState, str] = {
    "running": "",
    "confirming": "good",
    "won": "good",
    "failed": "bad",
    "lost": "bad",
    "refuted": "bad",
    "stalled": "warn",
    "paused": "warn",
    "retrying": "warn",
    "stopping": "warn",
}


def width_of(cell: Cell) -> int:
    """How many cells of the terminal it takes."""
    return sum(cells(text) for text, _ in cell)


def fit(cell: Cell, width: int, *, right: bool = False) -> Cell:
    """The cell in exactly `width` cells: cut with `…`, or filled with spaces."""
    space = width - width_of(cell)
    if space >= 0:
        filler = ((" " * space, ""),) if space else ()
        return (*filler, *cell) if right else (*cell, *filler)
    return _cut(cell, width)


def _cut(cell: Cell, width: int) -> Cell:
    kept: list[Piece] = []
    room = width
    for text, style in cell:
        size = cells(text)
        if size >= room:  # the first piece that does not leave a cell for what follows
            short = cut(text + " ", room)
            kept.append((short + " " * (room - cells(short)), style))
            break
        kept.append((text, style))
        room -= size
    return tuple(kept)


def clipped(line: Cell, width: int) -> Cell:
    """The line, cut where it is wider than `width`."""
    return line if width_of(line) <= width else fit(line, width)


def note_lines(row: Cells, width: int, most: int = MOST_NOTE_LINES) -> list[Cell]:
    """What there is to say about a worker below its row: `most` indented lines of `width` cells, the last one cut."""
    if not row["note"]:
        return []
    ((note, style),) = row["note"]
    kept = [""]
    for word in note.split(" "):
        longer = f"{kept[-1]} {word}" if kept[-1] else word
        if cells(longer) <= width - len(_INDENT) or not kept[-1] or len(kept) == most:
            kept[-1] = longer
        else:
            kept.append(word)
    return [clipped(((_INDENT, ""), (line, style)), width) for line in kept]


def text_of(cell: Cell) -> str:
    """Its text without the styles."""
    return "".join(text for text, _ in cell)


def worker_cells(
    worker: WorkerStanding,
    criteria: Sequence[CriterionInfo],
    eta: str | None,
    digits: Mapping[str, int] | None = None,
) -> Cells:
    """All cells of one worker that follow from its standing. `eta` is the forecast in words, or None.

    `digits`: how many each criterion's values are shown with; None: as the worker's own need.
    """
    control = " (control)" if worker.control else ""
    name_style = "good" if worker.state == "won" else "name" if worker.state in ALIVE else "dim"
    row: Cells = {
        "name": ((plain(worker.name + control, NAME_CELLS), name_style),),
        "state": ((f"{SYMBOLS[worker.state]} {state_word(worker)}", _STATE_STYLES.get(worker.state, "dim")),),
        "epoch": ((epoch_of(worker), ""),),
        "pace": _told(pace(epoch_pace_s(worker)) if worker.state in ALIVE else "—"),
        "eta": _told(short_eta(eta)),
        "eta_long": _told("—" if eta is None else plain(eta)),
        "spark": (
            (sparkline([point.values[0] for point in worker.recent if point.values], SPARK_CELLS), "spark"),
        ),
        "note": _note(worker),
    }
    return row | _criteria_cells(worker, criteria, digits)


def _told(text: str) -> Cell:
    return NOTHING if text == "—" else ((text, ""),)


def _note(worker: WorkerStanding) -> Cell:
    told = how_ended(worker)
    parts = (
        []
        if told == state_word(worker) or worker.state in ALIVE
        else [told.removeprefix(worker.state).strip(" ()")]
    )
    if worker.note:
        parts.append(plain(worker.note, LONGEST_NOTE))
    if worker.bad_lines:
        parts.append(f"{worker.bad_lines} bad metrics line{'s' if worker.bad_lines > 1 else ''}")
    if not parts and worker.doing:
        return ((plain(worker.doing, LONGEST_NOTE), "dim"),)
    return (("; ".join(parts), "warn" if worker.state in ALIVE else "dim"),) if parts else ()


def _criteria_cells(
    worker: WorkerStanding, criteria: Sequence[CriterionInfo], digits: Mapping[str, int] | None
) -> Cells:
    found = {criterion.name: criterion for criterion in worker.criteria}
    row: Cells = {}
    lacks: list[str] = []
    for index, info in enumerate(criteria):
        criterion = found.get(info.name)
        row[f"short{index}"], row[f"full{index}"] = _criterion(criterion, digits)
        if criterion is not None and not criterion.met:
            lacks.append(_lack(index, criterion))
    met = sum(criterion.met for criterion in worker.criteria)
    row["met"] = ((f"{met}/{len(criteria)}", "met" if met == len(criteria) else ""),) if found else NOTHING
    row["lacks"] = ((f"lacks {', '.join(lacks)}", "unmet"),) if lacks else ()
    return row


def _criterion(criterion: CriterionStanding | None, digits: Mapping[str, int] | None) -> tuple[Cell, Cell]:
    if criterion is None:
        return NOTHING, NOTHING
    value, why = verdict_of(criterion, digits)
    style = "met" if criterion.met else "unmet"
    short: Cell = ((value, style),)
    return short, (*short, (f" {plain(why, 20)}", "dim")) if why else short


def _lack(index: int, criterion: CriterionStanding) -> str:
    missing = gap(criterion.value, criterion.threshold)
    return f"{index + 1}: {'—' if missing is None else signed(abs(missing)).lstrip('+')}"


def eta_of(worker: WorkerStanding, standing: Standing, now: float) -> str | None:
    """The forecast of success in words; None for a worker that does not run, or cannot win."""
    return eta_words(view.of_worker(worker, standing, now))


def eta_words(estimate: Estimate | None) -> str | None:
    """A forecast in words; None where there is none to be made."""
    return None if estimate is None else forecast.describe(estimate)


def short_eta(eta: str | None) -> str:
    """The forecast in few cells: `45 min`, `no` where it is not on this trend, `—` where there is none."""
    if eta is None or eta.startswith("no estimate"):
        return "—"
    return "no" if eta.startswith("not") else plain(eta.removeprefix("about ").split(" (")[0], 12)
