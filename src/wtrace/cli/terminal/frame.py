"""One picture for the terminal: lines of styled pieces that Rich prints as they are, without markup."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderResult

    from wtrace.cli.terminal.cells import Cell

STYLES = {
    "": Style.null(),
    "name": Style(bold=True),
    "bold": Style(bold=True),
    "dim": Style(dim=True),
    "head": Style(underline=True),
    "met": Style(color="green"),
    "unmet": Style(color="yellow"),
    "spark": Style(color="cyan"),
    "good": Style(color="green", bold=True),
    "warn": Style(color="yellow", bold=True),
    "bad": Style(color="red", bold=True),
}
"""What the names of styles look like. A sign or a word always says the same as the colour."""

_NEWLINE = Segment.line()
Line = tuple[Segment, ...]


@lru_cache(maxsize=4096)
def _segment(text: str, style: str) -> Segment:
    return Segment(text, STYLES[style])


def line_of(cell: Cell) -> Line:
    """The pieces as Rich's segments; neighbours of one style become one."""
    merged: list[tuple[str, str]] = []
    for text, style in cell:
        if merged and (merged[-1][1] == style or not text.strip(" ")):
            merged[-1] = (merged[-1][0] + text, merged[-1][1])
        elif text:
            merged.append((text, style))
    return tuple(_segment(text, style) for text, style in merged)


class Frame:
    """Lines that fit the width they were made for."""

    def __init__(self, lines: Iterable[Line], width: int) -> None:
        self.lines = list(lines)
        self.width = width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich's protocol of renderables."""
        for line in self.lines:
            yield from line
            yield _NEWLINE

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Rich's protocol of measuring."""
        return Measurement(1, min(self.width, options.max_width))
