"""`wtrace status` as plain text. Imports only pure rooms and the standard library: it must start at once."""

from __future__ import annotations

import os
import sys
import time

from wtrace.cli.terminal.cells import clipped, eta_of, note_lines, text_of, worker_cells
from wtrace.cli.terminal.columns import lay_out, sizes_of, widest
from wtrace.cli.terminal.header import (
    event_line,
    goal_lines,
    happening_line,
    supervisor_line,
    title_line,
    verdict_line,
)
from wtrace.mirror import brief
from wtrace.publish.view import digits_of, epoch_of, verdict_of
from wtrace.text import ago, plain

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.cli.terminal.cells import Cell
    from wtrace.mirror.brief import Row
    from wtrace.race.status import Standing, WorkerStanding

__all__ = ["event_line", "plain_line", "status_lines"]

_WANTED = ("full", "eta", "pace", "eta_long", "titles")
_HAPPENINGS = 5


def status_lines(standing: Standing, width: int, now: float) -> list[str]:
    """The race as lines of at most `width` cells, without colours. `now`: seconds since 1970."""
    digits = digits_of(standing)
    rows = [
        worker_cells(worker, standing.criteria, eta_of(worker, standing, now), digits)
        for worker in standing.workers
    ]
    layout = lay_out(widest(map(sizes_of, rows)), standing.criteria, width, _WANTED)
    lines: list[Cell | None] = [
        title_line(standing, width, now),
        supervisor_line(standing, width),
        *goal_lines(standing, width, 4),
        (),
        ((layout.heading(), ""),),
    ]
    for row in rows:
        lines.append(layout.line(row))
        lines += note_lines(row, width)
    lines += [(), verdict_line(standing, width), *_lately(standing, width), _asof(standing, width, now)]
    return [text_of(line).rstrip() for line in lines if line is not None]


def _lately(standing: Standing, width: int) -> Iterable[Cell]:
    return [happening_line(h, standing.started, width) for h in standing.happenings[-_HAPPENINGS:]]


def _asof(standing: Standing, width: int, now: float) -> Cell:
    return clipped(((f"race {plain(standing.id)}, as of {ago(now - standing.at)}", ""),), width)


def plain_line(worker: WorkerStanding, before: WorkerStanding | None = None) -> str | None:
    """One line for a run without a terminal: what is new about a worker; None where that is not worth a line.

    New is another state or another judged check. `before` is the row as it was told last.
    """
    if before is not None and (worker.state, worker.checks) == (before.state, before.checks):
        return None
    told = f"{plain(worker.name)}: {worker.state}, epoch {epoch_of(worker)}"
    if before is not None and worker.checks == before.checks:
        return told + (f" ({plain(worker.note, 200)})" if worker.note else "")
    values = [f"{plain(c.name, 40)} {' '.join(verdict_of(c)).strip()}" for c in worker.criteria]
    return plain(", ".join([told, *values]))


def print_table(standing: Standing, sync: Sequence[Row] = ()) -> None:
    """The table on standard output, as wide as the terminal; below it how each target was last reached."""
    width, now = terminal_width(), time.time()
    lines = [*status_lines(standing, width, now), *(f"sync to {brief.line(row, now)}" for row in sync)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def terminal_width() -> int:
    """As `shutil.get_terminal_size` has it, at a fifth of the cost; 100 where there is no terminal."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 100  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 100
