"""`wtrace status --json`, schema 1. Readers ignore keys that they do not know.

Numbers that JSON does not have (NaN, infinity) are null, with a `reason` beside them. This module imports next to
nothing, because `wtrace status` must answer at once: it takes a `Standing`, or anything of that shape.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.status import ExitStanding, Standing, WorkerStanding


def status_json(standing: Standing | None, sync: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The whole object, `sync` being how each target was last reached; without a race, one that says so."""
    if standing is None:
        return {"schema": 1, "race": None, "workers": []}
    return {
        "schema": 1,
        "race": race_json(standing),
        "supervisor": {"pid": standing.supervisor_pid, "alive": standing.supervisor_alive},
        "sync": list(sync),
        "workers": [worker_json(worker) for worker in standing.workers],
    }


def race_json(standing: Standing) -> dict[str, Any]:
    """A race and its verdict, as `wtrace status --json` and `wtrace export --to json` have it."""
    return {
        "id": standing.id,
        "name": standing.name,
        "state": standing.state,
        "winner": standing.winner,
        "winner_epoch": standing.winner_epoch,
        "confirmed": standing.confirmed,
        "started": iso(standing.started),
        "decided": iso(standing.decided),
        "ended": iso(standing.ended),
    }


def iso(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    import datetime

    return datetime.datetime.fromtimestamp(round(at, 3), datetime.UTC).isoformat(timespec="milliseconds")


def worker_json(worker: WorkerStanding) -> dict[str, Any]:
    """A worker's part of `wtrace status --json`."""
    return {
        "name": worker.name,
        "branch": worker.branch,
        "commit": worker.commit,
        "state": worker.state,
        "control": worker.control,
        "pid": worker.pid,
        "handle": worker.handle,
        "attempt": worker.attempt,
        "epoch": worker.epoch,
        "max_epochs": worker.max_epochs,
        "exit": exit_json(worker.exit),
        "criteria": [criterion_json(criterion) for criterion in worker.criteria],
        "checks": worker.checks,
        "lines": worker.lines,
        "bad_lines": worker.bad_lines,
        "worktree": worker.worktree,
        "output": worker.output,
        "log": worker.log,
        "note": worker.note,
    }


def exit_json(exit_: ExitStanding | None) -> dict[str, Any] | None:
    """How a process ended; None while it runs."""
    return None if exit_ is None else {"code": exit_.code, "signal": exit_.signal, "known": exit_.known}


def criterion_json(criterion: CriterionStanding) -> dict[str, Any]:
    """A criterion's part of `wtrace status --json`; a number that is not finite is null, with the reason."""
    row: dict[str, Any] = {
        "name": criterion.name,
        "value": finite(criterion.value),
        "op": criterion.op,
        "threshold": criterion.threshold,
        "met": criterion.met,
    }
    reason = number_reason(criterion.value, criterion.reason)
    return row if reason is None else {**row, "reason": reason}


def finite(value: float | None) -> float | None:
    """The value, or None where JSON has no number for it (NaN, infinity)."""
    return value if value is not None and value - value == 0 else None


def number_reason(value: float | None, reason: str | None) -> str | None:
    """Why a number that JSON cannot carry is null."""
    if value is None or finite(value) is not None:
        return reason
    return reason or ("infinite" if value == value else "not a number")  # noqa: PLR0124 (NaN differs from itself)
