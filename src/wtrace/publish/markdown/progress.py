"""`PARALLEL_PROGRESS.md`: where the race stands, for someone who opens a file now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.judging import forecast
from wtrace.publish import view
from wtrace.publish.markdown.elements import (
    bullets,
    criterion_cell,
    criterion_title,
    criterion_written,
    page,
    table,
)
from wtrace.publish.savings import cost_line
from wtrace.publish.view import (
    ALIVE,
    FIRST_NOT_BEST,
    SYMBOLS,
    best_so_far,
    confirmation,
    digits_of,
    duration,
    epoch_of,
    how_ended,
    state_of,
    winner_of,
)
from wtrace.text import code, markdown, number, seconds, utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wtrace.race.status import Standing, WorkerStanding

HAPPENINGS_SHOWN = 12


def progress_page(standing: Standing, mirrors: Sequence[str] = ()) -> str:
    """The page as Markdown; a pure function of the standing (its `at` is the "last updated").

    `mirrors`: one line for each sync target, how it was last reached.
    """
    return page(
        f"# {markdown(standing.name)}: {state_of(standing)}",
        _updated(standing),
        verdict_line(standing),
        cost_line(standing, standing.at),
        _workers(standing),
        _best(standing),
        _outlook(standing),
        _lately(standing),
        "## Mirrors\n\n" + bullets(map(markdown, mirrors)) if mirrors else None,
        _goal(standing),
    )


def _updated(standing: Standing) -> str:
    supervisor = f"process {standing.supervisor_pid}" if standing.supervisor_alive else "gone"
    ran = "running for" if standing.ended is None else f"ended {utc(standing.ended)} after"
    lines = [
        f"**Last updated {utc(standing.at)}** (UTC)",
        f"race {code(standing.id)}, started {utc(standing.started)}, {ran} {duration(standing, standing.at)}",
    ]
    if standing.ended is None:
        lines.append(f"supervisor: {supervisor}")
    return " · ".join(lines)


def verdict_line(standing: Standing) -> str | None:
    """Who won, when, and what that means; None while nobody has."""
    winner = winner_of(standing)
    if winner is None:
        return None
    return (
        f"**Winner: {code(winner.name)}** at epoch {standing.winner_epoch}, "
        f"{seconds(_decided_after(standing))} after the start; {confirmation(standing)}. {FIRST_NOT_BEST}"
    )


def _decided_after(standing: Standing) -> float | None:
    return None if standing.decided is None else standing.decided - standing.started


def _workers(standing: Standing) -> str:
    header = ["Worker", "Epoch:", *map(criterion_title, standing.criteria), "Status"]
    digits = digits_of(standing)
    return table(header, [_worker(worker, standing, digits) for worker in standing.workers])


def _worker(worker: WorkerStanding, standing: Standing, digits: Mapping[str, int]) -> list[str]:
    found = {criterion.name: criterion for criterion in worker.criteria}
    cells = [criterion_cell(found.get(criterion.name), digits) for criterion in standing.criteria]
    return [code(worker.name), epoch_of(worker), *cells, _status(worker)]


def _status(worker: WorkerStanding) -> str:
    role = " (control, cannot win)" if worker.control else ""
    note = f": {markdown(plain_note)}" if (plain_note := (worker.note or "")[:200]) else ""
    bad = f"; {worker.bad_lines} bad metrics lines" if worker.bad_lines else ""
    return f"{SYMBOLS[worker.state]} {how_ended(worker)}{role}{note}{bad}"


def _best(standing: Standing) -> str:
    best = best_so_far(standing)
    if best is None:
        return f"## Best so far\n\n{view.nobody_leads(standing)}"
    worker, point = best
    reached, missing = view.leader_words(standing, worker, point, standing.at, markdown)
    still = f"; {missing}" if missing else ""
    return f"## Best so far\n\n{view.lead_title(standing, worker)}: {code(worker.name)}, {reached}{still}."


def _outlook(standing: Standing) -> str | None:
    running = [worker for worker in standing.workers if worker.state in ALIVE and not worker.control]
    if not running or standing.winner is not None:
        return None
    rows = [[code(worker.name), _trends(worker, standing), _estimate(worker, standing)] for worker in running]
    return "## Trend and time to success\n\n" + table(["Worker", "Trend", "All criteria met in"], rows)


def _trends(worker: WorkerStanding, standing: Standing) -> str:
    groups: dict[str, list[str]] = {}
    for index, criterion in enumerate(standing.criteria):
        word = forecast.trend(worker.recent, index)
        if word is not None:
            groups.setdefault(word, []).append(markdown(criterion.name))
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in groups.items()) or "too few checks"


def _estimate(worker: WorkerStanding, standing: Standing) -> str:
    estimate = view.of_worker(worker, standing, standing.at)
    return "—" if estimate is None else markdown(forecast.describe(estimate))


def _lately(standing: Standing) -> str | None:
    if not standing.happenings:
        return None
    latest = standing.happenings[-HAPPENINGS_SHOWN:]
    lines = [f"{utc(happening.at)} {markdown(happening.text[:300])}" for happening in latest]
    return "## What happened, newest last\n\n" + bullets(lines)


def _goal(standing: Standing) -> str:
    lines = [criterion_written(criterion) for criterion in standing.criteria]
    intro = (
        f"Every criterion must hold at one and the same check, every {number(standing.check_every)} epochs."
    )
    return f"## The goal\n\n{intro}\n\n" + bullets(lines)
