"""A race as one long table of comma-separated values: a row for each value of each curve."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from wtrace.race.status_json import iso
from wtrace.text import csv_cell, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.publish.export.series import Curve, RaceCurves

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
