"""A race as one JSON object, schema 1, and as a table of CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from wtrace.race.status_json import exit_json, finite, iso, number_reason, race_json
from wtrace.text import csv_cell, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wtrace.publish.export.series import Attempt, Curve, RaceCurves, Value, WorkerCurves


def export_json(race: RaceCurves) -> dict[str, Any]:
    """The whole object. Numbers that JSON does not have are null, with a `reason` beside them."""
    return {
        "schema": 1,
        "race": race_json(race.standing),
        "criteria": [
            {
                "name": criterion.name,
                "text": criterion.text,
                "op": criterion.op,
                "threshold": criterion.threshold,
                "applied": criterion.applied,
            }
            for criterion in race.standing.criteria
        ],
        "settings": race.settings,
        "workers": [_worker(worker) for worker in race.workers],
    }


def _worker(worker: WorkerCurves) -> dict[str, Any]:
    row = worker.row
    return {
        "name": row.name,
        "branch": row.branch,
        "commit": row.commit,
        "state": row.state,
        "control": row.control,
        "settings": worker.settings,
        "attempts": [_attempt(attempt) for attempt in worker.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "started": iso(attempt.started),
        "ended": iso(attempt.ended),
        "exit": exit_json(attempt.exit),
        "metrics": {name: _curve(curve) for name, curve in attempt.metrics.items()},
        "criteria": {name: _curve(curve) for name, curve in attempt.criteria.items()},
    }


def _curve(curve: Curve) -> list[dict[str, Any]]:
    return [_point(point) for point in curve]


def _point(point: Value) -> dict[str, Any]:
    shown: dict[str, Any] = {"epoch": point.epoch, "at": iso(point.at), "value": finite(point.value)}
    if point.met is not None:
        shown["met"] = point.met
    reason = number_reason(point.value, point.reason)
    return shown if reason is None else {**shown, "reason": reason}


COLUMNS = (
    "race", "worker", "branch", "commit", "state", "attempt", "epoch", "at", "kind", "name", "value", "met",
)  # fmt: skip


def export_csv(race: RaceCurves) -> str:
    """The table. `kind` is `metric` or `criterion`; a value may be `nan`, `inf` or `-inf`, and empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for worker in race.workers:
        row = worker.row
        known = [race.standing.id, row.name, row.branch, row.commit, row.state]
        for attempt in worker.attempts:
            beginning = [*map(_text, known), str(attempt.number)]
            for kind, curves in (("metric", attempt.metrics), ("criterion", attempt.criteria)):
                for name, curve in curves.items():
                    writer.writerows([*beginning, *rest] for rest in _rows(kind, _text(name), curve))
    return out.getvalue()


def _rows(kind: str, name: str, curve: Curve) -> Iterator[list[str]]:
    for point in curve:
        value = "" if point.value is None else repr(point.value)
        met = "" if point.met is None else str(point.met).lower()
        yield [str(point.epoch), iso(point.at) or "", kind, name, value, met]


def _text(text: str) -> str:
    return csv_cell(plain(text))
