"""What of a worker's row has no column, on lines of its own below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.cli.terminal.cells import NOTHING, clipped, note_lines, text_of, width_of

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from wtrace.cli.terminal.cells import Cell, Cells, Piece

MOST_NOTE_LINES = 2  # of a worker that runs
_INDENT: Piece = ("    ", "")
_DOT: Piece = (" · ", "dim")
_LABELS = {
    "eta": "ETA {}",
    "eta_long": "ETA {}",
    "pace": "{}/epoch",
    "cpu": "{} CPU",
    "memory": "{}",
    "gpu": "{} GPU",
}


def detail_lines(row: Cells, shown: AbstractSet[str], width: int, most: int) -> list[Cell]:
    """At most so many lines: what is to be known of a worker that runs first, then figures, the log (or why it ended) last.

    `shown`: the keys that have a column.
    """
    if most <= 0:
        return []
    log = () if "log" in shown else row["log"]
    note = () if row["note"] == row["log"] else row["note"]
    figures = _figures(row, shown, "eta_long" if width >= 100 else "eta")
    if most == 1:
        return _flow([cell for cell in (note, *figures, log) if cell], width, 1)
    told = note_lines(row, width, min(MOST_NOTE_LINES, most - 1)) if note else []
    room = most - len(told) - (1 if log else 0)
    ends = _flow([log], width, 1) if log and room >= 0 else []
    return [*told, *(_flow(figures, width, room) if room > 0 else []), *ends]


def _flow(cells: list[Cell], width: int, most: int) -> list[Cell]:
    """The cells one after the other on at most so many lines; a cell is not parted, the last line may be cut."""
    lines: list[Cell] = []
    for cell in cells:
        if lines and (len(lines) == most or width_of(lines[-1]) + width_of(cell) + 3 <= width):
            lines[-1] = (*lines[-1], _DOT, *cell)
        else:
            lines.append((_INDENT, *cell))
    return [clipped(line, width) for line in lines]


def _figures(row: Cells, shown: AbstractSet[str], eta: str) -> list[Cell]:
    keys = ["lacks", "spark", eta, "pace", "cpu", "memory", "gpu"]
    told = set(shown)
    if "full0" in shown:
        told.add("lacks")
    if shown & {"eta", "eta_long"}:
        told.add(eta)
    cells = [(key, row.get(key, NOTHING)) for key in keys if key not in told]
    return [_labelled(key, cell) for key, cell in cells if cell is not NOTHING and text_of(cell)]


def _labelled(key: str, cell: Cell) -> Cell:
    return tuple((_LABELS.get(key, "{}").format(text), style) for text, style in cell)
