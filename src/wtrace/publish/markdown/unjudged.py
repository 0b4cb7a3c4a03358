"""Why a race ended without a single check: each worker's reason, those with the same one together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config.schedule import planned_epochs
from wtrace.publish.view import ALIVE, how_ended
from wtrace.text import code, markdown, plain

if TYPE_CHECKING:
    from wtrace.race.status import Standing, WorkerStanding

MOST_NAMED = 5  # workers with one reason
LONGEST_REASON = 400
MOST_PLANNED = 4  # epochs


def why_unjudged(standing: Standing) -> str:
    """One sentence in Markdown: `no check was judged: **a** and **b** …`."""
    reasons: dict[str, list[str]] = {}
    for worker in standing.workers:
        if not worker.control:
            reasons.setdefault(_reason(worker, standing), []).append(worker.name)
    told = [f"{_names(names)} {reason}" for reason, names in reasons.items()]
    return f"no check was judged: {'; '.join(told)}." if told else "no check was judged."


def _names(names: list[str]) -> str:
    shown = [code(name) for name in names[:MOST_NAMED]]
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _reason(worker: WorkerStanding, standing: Standing) -> str:
    how = worker.state if worker.state in ALIVE else how_ended(worker)
    if worker.note:
        return markdown(f"{how}: {plain(worker.note, LONGEST_REASON)}")
    if worker.state in {"waiting", "skipped"}:
        return "never started"
    if worker.epoch > 0:
        planned = planned_epochs(standing.check_every, worker.max_epochs)
        shown = ", ".join(map(str, planned[:MOST_PLANNED]))
        more = ", …" if len(planned) > MOST_PLANNED else ""
        return f"{markdown(how)}: it reported up to epoch {worker.epoch}, and no check at a planned one ({shown}{more})"
    if worker.bad_lines:
        return f"{markdown(how)}: none of its {worker.bad_lines} metrics lines could be used"
    return f"{markdown(how)}: it reported nothing"
