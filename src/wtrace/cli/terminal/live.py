"""The live view: the race in one picture, made anew at each redraw from rows that did not change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from wtrace.cli.terminal.cells import clipped, eta_words, note_lines, worker_cells
from wtrace.cli.terminal.columns import lay_out, sizes_of, widest
from wtrace.cli.terminal.details import detail_lines
from wtrace.cli.terminal.keys import HELP
from wtrace.cli.terminal.table import (
    cost_cell,
    goal_lines,
    happening_line,
    over_lines,
    supervisor_line,
    title_line,
    verdict_line,
)
from wtrace.cli.terminal.usage import Gauge
from wtrace.judging.checks import closeness
from wtrace.mirror import brief
from wtrace.publish.view import ALIVE, by_standing, counts, digits_of, of_worker
from wtrace.text import plain, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from wtrace.cli.terminal.cells import Cell, Cells
    from wtrace.cli.terminal.columns import Layout
    from wtrace.cli.terminal.keys import Sort, ViewState
    from wtrace.judging.checks import CriterionInfo
    from wtrace.judging.forecast import Estimate
    from wtrace.mirror.brief import Row
    from wtrace.race.status import Standing, WorkerStanding, WorkerState

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
_SELECTED = Style(reverse=True)
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


KEYS = "Ctrl-C: stop the race, or leave it running"
_WANTED = ("full", "eta", "spark", "pace", "cpu", "memory", "gpu", "titles", "eta_long", "log")
_UNKNOWN = Gauge()


@dataclass(slots=True)
class _Row:
    """One worker's cells, and the lines made of them at the layout that was used last."""

    worker: WorkerStanding
    gauge: Gauge
    forecast: Estimate | None
    forecast_at: float
    eta: str | None
    cells: Cells
    sizes: dict[str, int]
    layout: Layout | None = None
    lines: tuple[Line, ...] = ()
    details: int = 0


class LiveView:
    """Renders standings; keeps what did not change since the last one. What it shows depends on its inputs only."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._criteria: tuple[CriterionInfo, ...] = ()
        self._digits: dict[str, int] = {}
        self._winner: str | None = None

    def render(
        self,
        standing: Standing,
        gauges: Mapping[str, Gauge],
        *,
        width: int,
        height: int,
        now: float,
        sync: Sequence[Row] = (),
        chosen: ViewState | None = None,
        log: Sequence[str] = (),
    ) -> Frame:
        """A picture of at most `width` by `height` cells. `now`: seconds since 1970; `sync`: how targets were reached.

        `chosen`: what whoever watches has chosen by keys, where there are any; `log`: the lines of the selected worker's.
        """
        if chosen is not None and chosen.shown != "table":
            return _page(chosen, log, width, height)
        rows = self._refresh(standing, gauges, now)
        layout = lay_out(widest(row.sizes for row in rows), standing.criteria, width, _WANTED)
        mirrors = [clipped(((f"sync to {brief.line(row, now)}", "dim"),), width) for row in sync]
        head = _head(standing, width, height, now, mirrors)
        foot = [_foot(chosen, width)] if height >= 8 or (chosen and (chosen.question or chosen.said)) else []
        room = height - len(head) - len(foot) - 1  # for rows and what happened; the heading takes one
        lately_least = min(len(standing.happenings), 3) + 1 if standing.happenings and room >= 9 else 0
        if chosen is not None:
            by_name = {row.worker.name: row for row in rows}
            rows = [by_name[name] for name in self.order(standing, chosen.sort)]
        selected = None if chosen is None else chosen.selected
        lines = _table(
            rows, layout, max(1, room - lately_least), width, selected, in_order=chosen is not None
        )
        lately = _lately(standing, width, room - len(lines))
        picture = [*map(line_of, head), line_of(((layout.heading(), "head"),)), *lines]
        picture = [*picture, *map(line_of, lately)][: height - len(foot)]
        if chosen is not None:
            picture += [()] * (height - len(foot) - len(picture))  # the footer stands on the last row
        return Frame([*picture, *map(line_of, foot)][:height], width)

    def order(self, standing: Standing, sort: Sort) -> list[str]:
        """The workers' names as the table has them from the top; by standing it changes at checks alone."""
        if sort == "config":
            return [worker.name for worker in standing.workers]
        if sort == "name":
            return sorted(worker.name for worker in standing.workers)
        return [worker.name for worker in by_standing(standing)]

    def _refresh(self, standing: Standing, gauges: Mapping[str, Gauge], now: float) -> list[_Row]:
        digits = digits_of(standing)
        if (standing.criteria, digits) != (self._criteria, self._digits):
            self._criteria, self._digits, self._rows = standing.criteria, digits, {}
        rows = {
            worker.name: self._row(worker, gauges.get(worker.name, _UNKNOWN), standing, now)
            for worker in standing.workers
        }
        self._rows, self._winner = rows, standing.winner
        return list(rows.values())

    def _row(self, worker: WorkerStanding, gauge: Gauge, standing: Standing, now: float) -> _Row:
        row = self._rows.get(worker.name)
        forecast, at = self._forecast(worker, row, standing, now)
        eta = eta_words(None if forecast is None else forecast.after(now - at))
        if row is not None and row.gauge == gauge and row.eta == eta and row.worker == worker:
            row.forecast, row.forecast_at = forecast, at
            return row
        cells = worker_cells(worker, standing.criteria, eta, self._digits) | _gauge_cells(worker, gauge)
        cells["log"] = cells["note"] if cells["note"] and worker.state not in ALIVE else cells["last"]
        return _Row(worker, gauge, forecast, at, eta, cells, sizes_of(cells))

    def _forecast(
        self, worker: WorkerStanding, row: _Row | None, standing: Standing, now: float
    ) -> tuple[Estimate | None, float]:
        """The forecast, which is dear, and when it was made: anew for a new check or another state only."""
        if row is not None and standing.winner == self._winner and _same_outlook(row.worker, worker):
            return row.forecast, row.forecast_at
        return of_worker(worker, standing, now), now


def _same_outlook(before: WorkerStanding, after: WorkerStanding) -> bool:
    """Whether nothing has changed that a worker's forecast is made of."""
    return before is after or (
        (before.state, before.max_epochs, before.claim, before.ruled_out, before.recent)
        == (after.state, after.max_epochs, after.claim, after.ruled_out, after.recent)
    )


def render(standing: Standing, gauges: Mapping[str, Gauge], *, width: int, height: int, now: float) -> Frame:
    """One picture without a memory: `LiveView.render` for a single use."""
    return LiveView().render(standing, gauges, width=width, height=height, now=now)


def _gauge_cells(worker: WorkerStanding, gauge: Gauge) -> Cells:
    cpu = () if gauge.cpu_percent is None else ((f"{gauge.cpu_percent:.0f} %", ""),)
    alive = worker.state in ALIVE
    return {
        "cpu": cpu if alive else (),
        "memory": ((size(gauge.memory), ""),) if alive and gauge.memory is not None else (),
        "gpu": ((size(gauge.gpu_memory), ""),) if alive and gauge.gpu_memory is not None else (),
        "last": ((plain(gauge.log_line), "dim"),) if gauge.log_line else (),
    }


def _head(standing: Standing, width: int, height: int, now: float, mirrors: Sequence[Cell]) -> list[Cell]:
    lines = [
        title_line(standing, width, now),
        supervisor_line(standing, width),
        *goal_lines(standing, width, 3 if height >= 18 else 1 if height >= 10 else 0),
        verdict_line(standing, width, now) if height >= 6 else None,
        cost_cell(standing, width, now) if height >= 12 else None,
        *mirrors[: 2 if height >= 18 else 0],
    ]
    shown: list[Cell] = [line for line in lines if line is not None]
    return [*shown, ()] if height >= 18 else shown


def _lately(standing: Standing, width: int, room: int) -> list[Cell]:
    if room < 2:
        return []
    latest = standing.happenings[-min(room - 1, 10) :]
    return [(), *(happening_line(h, standing.started, width) for h in latest)] if latest else []


def _foot(chosen: ViewState | None, width: int) -> Cell:
    if chosen is None:
        return clipped(((KEYS, "dim"),), width)
    style = "warn" if chosen.question is not None else "bold" if chosen.said else "dim"
    return clipped(((plain(chosen.footer()), style),), width)


def _page(chosen: ViewState, log: Sequence[str], width: int, height: int) -> Frame:
    """A worker's log, or the keys, in the place of the table."""
    if chosen.shown == "keys":
        text: list[Cell] = [((f"  {key:8}", "bold"), (told, "")) for key, told in HELP]
        title = "keys"
    else:
        text = [((line, ""),) for line in log[-max(0, height - 2) :]]
        title = f"log of {chosen.selected}"
    lines = [line_of(clipped(cell, width)) for cell in [((plain(title), "head"),), *text]][
        : max(0, height - 1)
    ]
    lines += [()] * (height - 1 - len(lines))
    return Frame([*lines, line_of(_foot(chosen, width))][:height], width)


def _table(
    rows: list[_Row], layout: Layout, room: int, width: int, selected: str | None, *, in_order: bool
) -> list[Line]:
    """The rows, with as many lines of details each as there is room; else the interesting ones and a summary.

    `in_order`: that these come in the order of the rows, and not the most interesting one first.
    """

    def lines_of(row: _Row, details: int) -> tuple[Line, ...]:
        first, *more = _lines(row, layout, details, width)
        return (_marked(first), *more) if row.worker.name == selected else (first, *more)

    if len(rows) <= room:
        details = min(3, room // max(1, len(rows)) - 1)
        return [line for row in rows for line in lines_of(row, details)]
    shown = sorted(rows, key=lambda row: (row.worker.name != selected, _interest(row)))[: room - 1]
    if in_order:
        shown = [row for row in rows if row in shown]
    names = {row.worker.name for row in shown}
    hidden = [row.worker for row in rows if row.worker.name not in names]
    summary = line_of(clipped(((f"… {len(hidden)} more: {counts(hidden)}", "bold"),), width))
    return [*(line for row in shown for line in lines_of(row, 0)), summary]


def _marked(line: Line) -> Line:
    return tuple(Segment(piece.text, (piece.style or Style.null()) + _SELECTED) for piece in line)


def _lines(row: _Row, layout: Layout, details: int, width: int) -> tuple[Line, ...]:
    if row.layout != layout or row.details != details:
        extra = detail_lines(row.cells, layout.keys, width, details)
        row.lines = tuple(line_of(line) for line in (layout.line(row.cells), *extra))
        row.layout, row.details = layout, details
    return row.lines


_INTEREST: Mapping[WorkerState, int] = {
    "won": 0,
    "confirming": 1,
    "stalled": 2,
    "retrying": 2,
    "paused": 2,
    "running": 3,
    "stopping": 4,
    "failed": 5,
    "lost": 5,
    "refuted": 5,
    "waiting": 6,
}


def _interest(row: _Row) -> tuple[int, int, float]:
    worker = row.worker
    first = worker.criteria[0] if worker.criteria else None
    value = 0.0 if first is None else -closeness(first.op, first.value)
    return _INTEREST.get(worker.state, 7), -sum(c.met for c in worker.criteria), value


def summary(standing: Standing, *, width: int, report: str | None = None, log: str | None = None) -> Frame:
    """What stays on the terminal when the race is over: who won or came closest, the rows, where to read on.

    Print it with `soft_wrap=True`: the paths are kept whole, however long, so that they can be copied.
    """
    cells = [
        worker_cells(worker, standing.criteria, None, digits_of(standing)) for worker in standing.workers
    ]
    layout = lay_out(widest(map(sizes_of, cells)), standing.criteria, width, ("full", "spark", "titles"))
    cost = cost_cell(standing, width, standing.at)
    lines: list[Cell] = [
        *over_lines(standing, width),
        *([cost] if cost else []),
        (),
        ((layout.heading(), "head"),),
    ]
    for row in cells:
        lines.append(layout.line(row))
        lines += note_lines(row, width)
    paths: Sequence[tuple[str, str | None]] = [("report", report), ("log", log)]
    lines.append(())
    lines += [((f"{what}: {plain(path)}", ""),) for what, path in paths if path]
    return Frame(map(line_of, lines), width)
