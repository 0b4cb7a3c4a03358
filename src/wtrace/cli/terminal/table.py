"""`wtrace status` as plain text: the table and the lines around it.

Imports the pure rooms and the standard library alone: it must start at once.
"""

from __future__ import annotations

import os
import sys
import time

from wtrace.cli.terminal.cells import clipped, eta_of, note_lines, text_of, worker_cells
from wtrace.cli.terminal.columns import lay_out, sizes_of, widest
from wtrace.mirror import brief
from wtrace.publish.view import (
    FIRST_NOT_BEST,
    MET,
    UNMET,
    best_so_far,
    confirmation,
    counts,
    digits_of,
    elapsed_s,
    epoch_of,
    lead_title,
    leader_words,
    state_of,
    value_of,
    verdict_of,
    winner_of,
)
from wtrace.text import ago, bound, cells, clock, cut, plain, seconds, utc

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.cli.terminal.cells import Cell
    from wtrace.judging.checks import CriterionInfo, CriterionStanding
    from wtrace.mirror.brief import Row
    from wtrace.race.status import Happening, Standing, WorkerStanding

_STATE_STYLES = {"won": "good", "no_winner": "bad", "stopped": "warn", "interrupted": "warn"}
_TEXT_LENGTH = 400


def title_line(standing: Standing, width: int, now: float) -> Cell:
    """The race's name, state, running time and workers."""
    alive = standing.state != "running" or standing.supervisor_alive
    style = _STATE_STYLES.get(standing.state, "bold") if alive else "bad"
    rest = f"  {clock(elapsed_s(standing, now))}  {counts(standing.workers)}"
    room = width - cells(state_of(standing)) - 11  # the running time stays, what is counted may be cut
    line: Cell = (
        (plain(standing.name, max(8, min(room, 60))), "bold"),
        ("  ", ""),
        (state_of(standing), style),
        (rest, "dim"),
    )
    return clipped(line, width)


def goal_lines(standing: Standing, width: int, most: int) -> list[Cell]:
    """The numbered criteria with the thresholds that are applied, on at most so many lines."""
    parts = [_goal(index, criterion, width) for index, criterion in enumerate(standing.criteria)]
    return [((line, "dim"),) for line in _flow("goal:", parts, width, most)]


def _flow(label: str, parts: Iterable[str], width: int, most: int) -> list[str]:
    """The parts behind the label, on as many lines as they need, at most so many; parts are never parted."""
    lines: list[str] = []
    line = label
    for part in parts:
        if cells(line) + cells(part) + 2 > width and line.strip():
            lines.append(line)
            line = " " * cells(label)
        line += f"  {part}"
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{cut(lines[most - 1], max(0, width - 2))} …"] if most else []
    return [cut(line, width) for line in lines]


def _goal(index: int, criterion: CriterionInfo, width: int) -> str:
    name = plain(criterion.name, max(8, width // 2))
    return f"{index + 1} {name} {bound(criterion.op, criterion.applied)}"


def verdict_line(standing: Standing, width: int, now: float) -> Cell | None:
    """The winner, or who is closest and what that one lacks; None while nobody has been judged."""
    winner = winner_of(standing)
    if winner is not None:
        said = f"★ {plain(winner.name)} won at epoch {standing.winner_epoch}"
        return clipped(((said, "good"), (f"; {confirmation(standing)}. {FIRST_NOT_BEST}", "")), width)
    best = best_so_far(standing)
    if best is None:
        return None
    worker, point = best
    reached, missing = leader_words(standing, worker, point, now, plain)
    told = f"{lead_title(standing, worker)}: {plain(worker.name)}, {reached}"
    return clipped(((told, "bold"), (f"; {missing}" if missing else "", "unmet")), width)


def cost_cell(standing: Standing, width: int, now: float) -> Cell | None:
    """What the race costs and what stopping early saved, where the config tells the machine's price."""
    from wtrace.publish.savings import cost_line

    line = cost_line(standing, now)
    return None if line is None else clipped(((line, "dim"),), width)


def supervisor_line(standing: Standing, width: int) -> Cell | None:
    """A word where nobody watches the race any more."""
    if standing.state != "running" or standing.supervisor_alive:
        return None
    said = "! its supervisor is gone: `wtrace run --resume` takes it up again"
    return clipped(((said, "bad"),), width)


def happening_line(happening: Happening, started: float, width: int) -> Cell:
    """What happened, with the race's time at which it did."""
    text = plain(happening.text, _TEXT_LENGTH)
    return clipped(((f"{clock(happening.at - started)}  ", "dim"), (text, "")), width)


def event_line(happening: Happening) -> str:
    """The same for a run without a terminal: one line, with the moment in UTC."""
    return f"{utc(happening.at)} {plain(happening.text, _TEXT_LENGTH)}"


def over_lines(standing: Standing, width: int) -> list[Cell]:
    """How the race ended, in the few lines that stay on the terminal."""
    after = f" after {seconds(elapsed_s(standing, standing.at))}"
    winner = winner_of(standing)
    if winner is None:
        how = "" if standing.state == "no_winner" else f" ({state_of(standing)})"
        headline: Cell = ((f"no winner{how}", "bad"), (after, ""))
        return [clipped(headline, width), *filter(None, [verdict_line(standing, width, standing.at)])]
    headline = ((f"★ {plain(winner.name)} WINS", "good"), (f" at epoch {standing.winner_epoch},{after}", ""))
    values = [f"{_met(c)} ({bound(c.op, c.threshold)})" for c in winner.criteria]
    verdict = f"{confirmation(standing)}. {FIRST_NOT_BEST}"
    proof: list[Cell] = [((line, ""),) for line in _flow("", values, width, 9)]
    return [clipped(headline, width), *proof, clipped(((verdict, ""),), width)]


def _met(criterion: CriterionStanding) -> str:
    return f"{MET if criterion.met else UNMET} {plain(criterion.name, 40)} {value_of(criterion)}"


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
    lines += [(), verdict_line(standing, width, now), *_lately(standing, width), _asof(standing, width, now)]
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
