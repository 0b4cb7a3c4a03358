"""What a person who is not looking is told: a winner, a failure, a stall, the end. In words, and as a terminal's bell.

Texts from outside are on one line here, without control characters, and cannot mention anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wtrace.data import data
from wtrace.publish.view import (
    FIRST_NOT_BEST,
    MET,
    UNMET,
    best_so_far,
    confirmation,
    counts,
    duration,
    how_ended,
    leader_words,
    state_of,
    winner_of,
)
from wtrace.race import events as ev
from wtrace.text import beside, bound, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.race.status import Standing, WorkerStanding, WorkerState

Kind = Literal["winner", "failure", "stall", "end", "test"]

NAME_CELLS = 64
NOTE_CELLS = 300
MOST_TOLD = 20  # workers in one notice
_FAILED: frozenset[WorkerState] = frozenset({"failed", "lost"})
_ALARMING: frozenset[WorkerState] = _FAILED | {"stalled"}
_NO_MENTION = "@\u200b"  # chats make no mention of a name that this parts from its sign

BELL = "\x07"
SAVE_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""A terminal that keeps a stack of titles (xterm's control sequences) gets its own back; others ignore them."""


@data
class Notice:
    """One message: a title of one line and a body of a few."""

    kind: Kind
    title: str
    body: str


def notices_of(events: Iterable[ev.Event], standing: Standing) -> list[Notice]:
    """What is worth a notice among the events of one turn, told from the standing after them.

    At most one of each kind: workers that failed or stalled together are told together. A worker that will be
    tried again has not failed.
    """
    failed: list[str] = []
    stalled: list[str] = []
    decided = ended = False
    for event in events:
        match event:
            case ev.WorkerExited() | ev.SetupEnded() | ev.WorkerRefused():
                failed.append(event.worker)
            case ev.WorkerStalled(worker=worker):
                stalled.append(worker)
            case ev.VerdictReached():
                decided = True
            case ev.RaceEnded():
                ended = True
            case _:
                pass
    rows = {worker.name: worker for worker in standing.workers}
    found = [
        winner_notice(standing) if decided else None,
        failure_notice(standing, [rows[name] for name in failed if rows[name].state in _FAILED]),
        stall_notice(standing, [rows[name] for name in stalled]),
        end_notice(standing) if ended else None,
    ]
    return [notice for notice in found if notice is not None]


def winner_notice(standing: Standing) -> Notice | None:
    """Who won, and the values that it has now."""
    winner = winner_of(standing)
    if winner is None:
        return None
    after = "" if standing.decided is None else f" after {seconds(standing.decided - standing.started)}"
    lines = [
        f"{_safe(winner.branch)} at epoch {standing.winner_epoch}{after}; {confirmation(standing)}. {FIRST_NOT_BEST}",
        *(
            f"{MET if c.met else UNMET} {_safe(c.name)} {beside(c.value, c.threshold)} ({bound(c.op, c.threshold)})"
            for c in winner.criteria
        ),
    ]
    return _notice("winner", standing, f"★ {_safe(winner.name)} won", lines)


def failure_notice(standing: Standing, workers: Sequence[WorkerStanding]) -> Notice | None:
    """Which workers failed, and why; None where there is none."""
    if not workers:
        return None
    lines = [f"{_safe(worker.name)}: {_how_failed(worker)}" for worker in workers[:MOST_TOLD]]
    return _notice(
        "failure", standing, f"{_some(workers)} failed", [*lines, *_rest(workers), _left(standing)]
    )


def stall_notice(standing: Standing, workers: Sequence[WorkerStanding]) -> Notice | None:
    """Which workers are silent; None where there is none."""
    if not workers:
        return None
    lines = [
        f"{_safe(worker.name)}: no metric for a long time, at epoch {worker.epoch} of {worker.max_epochs}"
        for worker in workers[:MOST_TOLD]
    ]
    return _notice("stall", standing, f"{_some(workers)} stalled", [*lines, *_rest(workers), _left(standing)])


def end_notice(standing: Standing) -> Notice:
    """How the race ended; without a winner, who came closest."""
    how = f"ended after {duration(standing, standing.at)}: {counts(standing.workers)}"
    winner = winner_of(standing)
    if winner is not None:
        return _notice("end", standing, f"ended, won by {_safe(winner.name)}", [how])
    lines = [how]
    best = best_so_far(standing)
    if best is not None:
        worker, point = best
        reached, missing = leader_words(standing, worker, point, standing.at, _safe)
        still = f"; {missing}" if missing else ""
        lines.append(f"closest: {_safe(worker.name)}, {reached}{still}")
    return _notice("end", standing, f"ended: {state_of(standing)}", lines)


def trial_notice(race: str) -> Notice:
    """That notices of this race arrive here."""
    return Notice(
        "test", f"{_safe(race)}: a test", "wtrace tells you here of a winner, a failure, a stall, the end."
    )


def _notice(kind: Kind, standing: Standing, what: str, lines: Iterable[str]) -> Notice:
    return Notice(kind, f"{_safe(standing.name)}: {what}", "\n".join(line for line in lines if line))


def _how_failed(worker: WorkerStanding) -> str:
    note = f": {_safe(worker.note, NOTE_CELLS)}" if worker.note else ""
    return f"{how_ended(worker)} at epoch {worker.epoch}{note}"


def _some(workers: Sequence[WorkerStanding]) -> str:
    return _safe(workers[0].name) if len(workers) == 1 else f"{len(workers)} workers"


def _rest(workers: Sequence[WorkerStanding]) -> list[str]:
    more = len(workers) - MOST_TOLD
    return [f"and {more} more"] if more > 0 else []


def _left(standing: Standing) -> str:
    return f"now: {counts(standing.workers)}"


def _safe(text: str, limit: int = NAME_CELLS) -> str:
    return plain(text, limit).replace("@", _NO_MENTION)


def announcement(before: Standing | None, after: Standing) -> str:
    """What a viewer writes to its terminal when the standing changes: the window's title, and a bell for news.

    Empty where nothing of that changed. Neither moves the cursor. News are a winner, the end, and a worker that
    failed or stalled; what was so already in the first standing is none.
    """
    title = title_of(after)
    told = "" if before is not None and title_of(before) == title else f"\x1b]2;{title}\x07"
    return told + (BELL if before is not None and _is_news(before, after) else "")


def title_of(standing: Standing) -> str:
    """The window's title: `★ NAME won: RACE`, else the race with its state and who is alarming."""
    winner = winner_of(standing)
    if winner is not None:
        return plain(f"★ {plain(winner.name, NAME_CELLS)} won: {standing.name}", 120)
    alarming = [worker for worker in standing.workers if worker.state in _ALARMING]
    more = f" ({counts(alarming)})" if alarming else ""
    return plain(f"{plain(standing.name, NAME_CELLS)}: {state_of(standing)}{more}", 120)


def _is_news(before: Standing, after: Standing) -> bool:
    if (before.winner is None) != (after.winner is None) or (before.ended is None) != (after.ended is None):
        return True
    states = {worker.name: worker.state for worker in before.workers}
    return any(
        worker.state in _ALARMING and states.get(worker.name) != worker.state for worker in after.workers
    )
