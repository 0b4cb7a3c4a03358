"""The lines around the table: the race, its goal, the verdict or who is closest, and what happened."""

from __future__ import annotations

from wtrace.cli.terminal.cells import clipped
from wtrace.publish.view import (
    FIRST_NOT_BEST,
    MET,
    UNMET,
    best_so_far,
    confirmation,
    counts,
    elapsed_s,
    needs,
    state_of,
    value_of,
    winner_of,
)
from wtrace.text import bound, cells, clock, cut, plain, seconds, utc

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtrace.cli.terminal.cells import Cell
    from wtrace.judging.checks import CriterionInfo, CriterionStanding
    from wtrace.race.status import Happening, Standing

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


def verdict_line(standing: Standing, width: int) -> Cell | None:
    """The winner, or who is closest and what that one lacks; None while nobody has been judged."""
    winner = winner_of(standing)
    if winner is not None:
        said = f"★ {plain(winner.name)} won at epoch {standing.winner_epoch}"
        return clipped(((said, "good"), (f"; {confirmation(standing)}. {FIRST_NOT_BEST}", "")), width)
    best = best_so_far(standing)
    if best is None:
        return None
    worker, point = best
    lacking = ", ".join(plain(phrase) for phrase in needs(point, standing.criteria))
    told = f"closest: {plain(worker.name)}, epoch {point.epoch}, {sum(point.met)} of {len(standing.criteria)} met"
    return clipped(((told, "bold"), (f"; needs {lacking}" if lacking else "", "unmet")), width)


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
        return [clipped(headline, width), *filter(None, [verdict_line(standing, width)])]
    headline = ((f"★ {plain(winner.name)} WINS", "good"), (f" at epoch {standing.winner_epoch},{after}", ""))
    values = [f"{_met(c)} ({bound(c.op, c.threshold)})" for c in winner.criteria]
    verdict = f"{confirmation(standing)}. {FIRST_NOT_BEST}"
    proof: list[Cell] = [((line, ""),) for line in _flow("", values, width, 9)]
    return [clipped(headline, width), *proof, clipped(((verdict, ""),), width)]


def _met(criterion: CriterionStanding) -> str:
    return f"{MET if criterion.met else UNMET} {plain(criterion.name, 40)} {value_of(criterion)}"
