"""What a terminal shows of lines that a program rewrites: progress bars, counters, several bars below each other.

A small model of a terminal without a right edge: carriage return, backspace, and the control sequences that move the
cursor or erase (ECMA-48: CUU, CUD, CUF, CUB, CNL, CPL, CHA, ED, EL). Colours and titles leave no trace, and each
character takes one cell. Time and memory are bounded by the length of the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ROWS = 50  # that a cursor may go up
WIDEST = 4000  # the last column that a cursor may be sent to; a terminal has an edge as well
LONGEST_ROW = 1_000_000  # characters
MOST_CELLS = 2_000_000  # of all rows that wait
REWRITTEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
"""Whether bytes hold anything that a terminal does not simply show."""
_TOKENS = re.compile(
    r"(?P<text>[^\x00-\x08\x0a-\x1f\x7f]+)"
    r"|\x1b\[(?P<numbers>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|(?P<returns>\r+)"
    r"|(?P<backs>\x08+)"
    r"|\x1b\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Za-z]|\x1b[=>78]|[\x00-\x1f\x7f]"
)
_VERTICAL = frozenset("ABEFJ")


class _Row:
    """The cells of one row. None: a cell that was skipped, and shows what was there before (else a space)."""

    def __init__(self) -> None:
        self.cells: list[str | None] = []
        self.erased_from: int | None = None  # whatever was to the right of this is gone

    def write(self, column: int, text: str) -> int:
        """Put the text there; the column after it."""
        room = LONGEST_ROW - column
        if room <= 0:
            return column
        self._reach(column)
        self.cells[column : column + len(text)] = text[:room]
        return column + min(len(text), room)

    def erase(self, column: int, what: int) -> None:
        """EL and ED: to the end (0), or all of it (2)."""
        if what in {0, 2}:
            begin = column if what == 0 else 0
            del self.cells[begin:]
            while self.cells and self.cells[-1] is None:
                self.cells.pop()
            self.erased_from = begin if self.erased_from is None else min(begin, self.erased_from)

    def _reach(self, column: int) -> None:
        if column > len(self.cells):
            self.cells += [None] * (column - len(self.cells))

    def shown(self) -> str:
        """The text, as it is seen."""
        return "".join([" " if cell is None else cell for cell in self.cells])


class _Pen:
    """Draws on one row and hands what leads away from it to `elsewhere`."""

    def __init__(self, column: int = 0) -> None:
        self.row = _Row()
        self.column = column

    def draw(self, text: str) -> Iterator[tuple[str, int]]:
        """Each movement to another row, as it comes: its letter and its number (0: none was given)."""
        for token in _TOKENS.finditer(text):
            match token.lastgroup:
                case "text":
                    self.column = self.row.write(self.column, token[0])
                case "returns":
                    self.column = 0
                case "backs":
                    self.column = max(0, self.column - len(token[0]))
                case "final" if token["final"] in _VERTICAL:
                    yield token["final"], _number(token["numbers"])
                case "final":
                    self._obey(token["final"], _number(token["numbers"]))

    def _obey(self, letter: str, number: int) -> None:
        if letter == "C":
            self.column = min(self.column + max(1, number), max(self.column, WIDEST))
        elif letter == "D":
            self.column = max(0, self.column - max(1, number))
        elif letter in "G`":
            self.column = min(max(1, number) - 1, WIDEST)
        elif letter == "K":
            self.row.erase(self.column, number)


class Screen:
    """The rows that may still change. Feed it line by line; it gives each row back once no cursor will return to it.

    A cursor that once went up will do so again: from then on a row waits for as many rows below it.
    """

    def __init__(self) -> None:
        self._up = 0  # rows that a cursor went up at most
        self._clear()

    def _clear(self) -> None:
        self._rows = [_Row()]
        self._pen = _Pen()
        self._go_to(0)

    @property
    def is_plain(self) -> bool:
        """Whether a line without any control character would be shown as it is, at once."""
        return not self._up

    def line(self, text: str) -> list[str]:
        """Show a line (without its newline), and the newline after it: the rows that are final now."""
        self._show(text)
        self._go_to(self._at + 1)
        self._pen.column = 0
        final = max(0, len(self._rows) - 1 - self._up)
        if self._up and sum(len(row.cells) for row in self._rows) > MOST_CELLS:
            final = self._at
        shown = [row.shown() for row in self._rows[:final]]
        del self._rows[:final]
        self._at -= final
        return shown

    def rest(self, text: str) -> list[str]:
        """Show the beginning of a line, of which no more comes: all rows that are left."""
        self._show(text)
        shown = [row.shown() for row in self._rows]
        self._clear()
        return shown

    def _show(self, text: str) -> None:
        for letter, number in self._pen.draw(text):
            count = min(max(1, number), MOST_ROWS)
            if letter in "EF":
                self._pen.column = 0
            if letter in "AF":
                self._go_up(count)
            elif letter in "BE":
                self._go_to(min(self._at + count, len(self._rows) - 1))
            else:
                self._erase(number)

    def _go_up(self, count: int) -> None:
        above = min(count - self._at, MOST_ROWS + 1 - len(self._rows))
        if above > 0:  # rows that were final already: what they show from now on is seen anew
            self._rows[:0] = [_Row() for _ in range(above)]
            self._at += above
        self._go_to(max(0, self._at - count))
        self._up = max(self._up, len(self._rows) - 1 - self._at)

    def _go_to(self, row: int) -> None:
        if row == len(self._rows):
            self._rows.append(_Row())
        self._at = row
        self._pen.row = self._rows[row]

    def _erase(self, what: int) -> None:
        """ED, of the rows that may still change."""
        self._pen.row.erase(self._pen.column, min(what, 2))
        if what in {0, 2}:
            for row in self._rows[self._at + 1 :]:
                row.erase(0, 2)


def fold(text: str) -> str:
    """A shorter text that does the same to a terminal at the beginning of a line, whatever follows it.

    Hours of a progress bar are one line, of which only what is seen has to be kept.
    """
    parts: list[str] = []
    pen = _Pen()
    for letter, number in pen.draw(text):
        if not _is_reached(pen):
            return text
        parts += [_drawing(pen), f"\x1b[{number or ''}{letter}"]
        pen.row = _Row()
        pen.column = 0 if letter in "EF" else pen.column
    return "".join([*parts, _drawing(pen)]) if _is_reached(pen) else text


def _is_reached(pen: _Pen) -> bool:
    """Whether sequences lead wherever a drawing of this row has to go; none leads beyond the widest column."""
    ends = pen.column, pen.row.erased_from or 0
    return max(ends) <= WIDEST and None not in pen.row.cells[WIDEST:]


def _drawing(pen: _Pen) -> str:
    """What draws this row, and leaves the cursor where it is."""
    erased = pen.row.erased_from
    parts = [] if erased is None else [f"\x1b[{erased + 1}G\x1b[K"]
    if pen.row.cells:
        cells = "".join(["\0" if cell is None else cell for cell in pen.row.cells])
        runs = re.findall("\0+|[^\0]+", cells)
        parts += ["\r", *(f"\x1b[{len(run)}C" if run[0] == "\0" else run for run in runs)]
    return "".join([*parts, f"\x1b[{pen.column + 1}G"])


def _number(given: str) -> int:
    first = given.partition(";")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) < 7 else 0
