"""The curves of a race, gathered from its record: what `wtrace export` hands on."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from wtrace.config import load
from wtrace.errors import ConfigError
from wtrace.metrics.records import Check, Epoch, decode
from wtrace.publish.export.series import CHECK, JUDGED, Attempt, CurveBuilder, RaceCurves, WorkerCurves
from wtrace.race import events as ev
from wtrace.race.redaction import published
from wtrace.race.status import ExitStanding
from wtrace.store.reader import Reader
from wtrace.supervisor.publishing.redacting import redaction_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from wtrace.race.paths import Layout
    from wtrace.race.status import Standing

# What else is in the config tells nothing about curves.
SHOWN_TABLES = ("race", "success", "judge", "confirm", "stop", "metrics")
HIDDEN_KEYS = ("env", "branch")  # the branch is told beside the settings

Key = tuple[str, int]
"""A worker and the number of its attempt."""


def gather(layout: Layout, standing: Standing) -> RaceCurves:
    """All curves of that race as they are on record, also while it runs."""
    settings = _settings_raced(layout, standing.id)
    workers: dict[str, Any] = settings.get("workers", {})
    with Reader(layout.database) as reader:
        builders = _read(reader, standing.id)
        began, ended = _lives(reader.events(standing.id))
    attempts = _attempts(builders, began, ended)
    return RaceCurves(
        standing,
        {name: settings[name] for name in SHOWN_TABLES if settings.get(name)},
        tuple(
            WorkerCurves(row, _settings(workers.get(row.name, {})), tuple(attempts.get(row.name, ())))
            for row in standing.workers
        ),
    )


def _read(reader: Reader, race_id: str) -> dict[Key, CurveBuilder]:
    builders: dict[Key, CurveBuilder] = {}
    for line in reader.epochs(race_id):
        epoch = decode(line.raw)
        if isinstance(epoch, Epoch):
            builder = builders.setdefault((line.worker, line.attempt), CurveBuilder())
            builder.add(line.epoch, line.at, epoch.metrics)
    for stored in reader.checks(race_id):
        check = decode(stored.raw)
        if isinstance(check, Check):
            builder = builders.setdefault((stored.worker, stored.attempt), CurveBuilder())
            builder.add(stored.epoch, stored.at, check.metrics, JUDGED if stored.judged else CHECK)
            builder.judge(stored.epoch, stored.at, stored.results)
    return builders


def _lives(events: Iterable[ev.Event]) -> tuple[dict[Key, float], dict[Key, ev.WorkerExited]]:
    """When each attempt was launched, and how it ended where it has."""
    began: dict[Key, float] = {}
    ended: dict[Key, ev.WorkerExited] = {}
    for event in events:
        if isinstance(event, ev.WorkerLaunched):
            began[event.worker, event.attempt] = event.at
        elif isinstance(event, ev.WorkerExited):
            ended[event.worker, event.attempt] = event
    return began, ended


def _attempts(
    builders: dict[Key, CurveBuilder], began: dict[Key, float], ended: dict[Key, ev.WorkerExited]
) -> dict[str, list[Attempt]]:
    """The attempts of each worker by their numbers, those that reported nothing among them."""
    found: dict[str, list[Attempt]] = {}
    for key in sorted({*began, *builders}):
        end = ended.get(key)
        exit_ = None if end is None else ExitStanding(end.code, end.signal, end.known)
        builder = builders.get(key, CurveBuilder())
        attempt = builder.attempt(key[1], began.get(key), None if end is None else end.at, exit_)
        found.setdefault(key[0], []).append(attempt)
    return found


def _settings(table: dict[str, Any]) -> dict[str, object]:
    return {name: value for name, value in table.items() if name not in HIDDEN_KEYS}


def _settings_raced(layout: Layout, race_id: str) -> dict[str, Any]:
    """The config as it was resolved when the race began and may be published; empty where it cannot be read."""
    try:
        spec = load.parse(layout.race(race_id).config.read_text(encoding="utf-8"), recorded=True)
    except (OSError, ValueError, ConfigError):
        return {}
    return tomllib.loads(load.dump(published(spec, redaction_in(layout.root, spec))))
