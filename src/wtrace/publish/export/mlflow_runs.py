"""A race as runs of MLflow (the extra `mlflow`): one for the race, and below it one for each attempt of a worker."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from wtrace.errors import ToolError, UsageError
from wtrace.publish.export.for_tools import Names, as_key, flat, identity, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from wtrace.publish.export.series import Attempt, RaceCurves, WorkerCurves
    from wtrace.race.status import WorkerState

RACE_TAG = "wtrace.race"
LONGEST_VALUE = 500  # of a parameter, in the oldest servers
MOST_METRICS, MOST_PARAMS = 1000, 100  # in one request
KILLED: tuple[WorkerState, ...] = ("terminated", "stopped", "refuted", "skipped")
FAILED: tuple[WorkerState, ...] = ("failed", "lost")
FINISHED: tuple[WorkerState, ...] = ("won", "finished")

# What MLflow's client does by itself unless it is told otherwise: it waits minutes for a server that is not there,
# and it reports its use.
MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def local_store(folder: Path) -> str:
    """The tracking URI of a store in that folder: an SQLite file, since MLflow refuses stores made of plain files."""
    return f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def shown_uri(uri: str) -> str:
    """A tracking URI without the user and the password that it may hold."""
    return re.sub(r"(?<=//)[^/@]*@", "", uri)


def write_runs(race: RaceCurves, uri: str, *, artifacts: str | None = None, overwrite: bool = False) -> int:
    """Write the race into the experiment of its name; returns how many runs were made for attempts.

    `artifacts`: where a new experiment keeps its files, for a local store. UsageError where runs of this race are
    there already; `overwrite` deletes them first, by MLflow's own means. ToolError where MLflow is not installed, or
    does not take the runs; those made here are deleted again.
    """
    client = _client(uri)
    made: list[str] = []
    try:
        experiment = _experiment(client, race.standing.name, artifacts)
        old = _runs_of(client, experiment, race.standing.id)
        if old and not overwrite:
            raise UsageError(
                f"race {race.standing.id} is in {shown_uri(uri)} already, in the experiment {race.standing.name}",
                hint="`--overwrite` puts it there anew",
            )
        _Scribe(client, experiment, race, made).write()
        _delete(client, old)
    except UsageError:
        raise
    except Exception as error:
        _delete_quietly(client, made)
        raise ToolError(
            f"MLflow at {shown_uri(uri)} did not take the race", seen=_shown(error, uri)
        ) from error
    return len(made) - 1


class _Scribe:
    """Writes one race into an experiment; notes the runs that it makes in `made`."""

    def __init__(self, client: Any, experiment: str, race: RaceCurves, made: list[str]) -> None:
        self._client = client
        self._experiment = experiment
        self._race = race
        self._made = made

    def write(self) -> None:
        """The race's own run, and one below it for each attempt."""
        standing = self._race.standing
        tags = {f"wtrace.{name}": text for name, text in verdict(standing).items()}
        parent = self._begin(standing.id, standing.started, tags)
        self._log_params(parent, flat(self._race.settings))
        for worker in self._race.workers:
            for attempt in worker.attempts:
                self._write_attempt(worker, attempt, parent)
        if standing.ended is not None:
            self._end(parent, "FINISHED" if standing.winner else "KILLED", standing.ended)

    def _write_attempt(self, worker: WorkerCurves, attempt: Attempt, parent: str) -> None:
        told = identity(worker)
        tags = {
            "mlflow.parentRunId": parent,
            "mlflow.source.git.commit": worker.row.commit,
            "wtrace.attempt": str(attempt.number),
            **{f"wtrace.{name}": text for name, text in told.items()},
        }
        run = self._begin(worker.run_name(attempt), attempt.started or self._race.standing.started, tags)
        self._log_params(run, told | flat(worker.settings))
        for batch in _batches(_metrics(attempt), MOST_METRICS):
            self._client.log_batch(run, metrics=batch)
        if attempt.ended is not None:
            self._end(run, _status(worker, attempt), attempt.ended)

    def _begin(self, name: str, started: float, tags: dict[str, str]) -> str:
        told = {RACE_TAG: self._race.standing.id} | {key: text for key, text in tags.items() if text}
        run = self._client.create_run(self._experiment, start_time=_ms(started), run_name=name, tags=told)
        self._made.append(str(run.info.run_id))
        return self._made[-1]

    def _log_params(self, run: str, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        names = Names(as_key, ())
        params = [Param(names.metric(name), text[:LONGEST_VALUE]) for name, text in values.items() if text]
        for batch in _batches(params, MOST_PARAMS):
            self._client.log_batch(run, params=batch)

    def _end(self, run: str, status: str, at: float) -> None:
        self._client.set_terminated(run, status, end_time=_ms(at))


def require_mlflow() -> Any:
    """The class of MLflow's client. ToolError where MLflow is not installed."""
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise ToolError(
            "MLflow is not installed", seen=str(error), hint="pip install 'wtrace[mlflow]'"
        ) from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient


def _client(uri: str) -> Any:
    try:
        return require_mlflow()(tracking_uri=uri)
    except ToolError:
        raise
    except Exception as error:
        raise ToolError(f"MLflow cannot use {shown_uri(uri)}", seen=_shown(error, uri)) from error


def _shown(error: Exception, uri: str) -> str:
    """What MLflow said, in one line, without the credentials of the address."""
    text = str(error).strip().split("\n")[0][:500]
    return re.sub(r"(?<=//)[^/@\s]*@", "", text.replace(uri, shown_uri(uri)))


def _experiment(client: Any, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if found.lifecycle_stage != "active":
        raise UsageError(
            f"MLflow's experiment {name} was deleted",
            hint=f"mlflow experiments restore -x {found.experiment_id}",
        )
    return str(found.experiment_id)


def _runs_of(client: Any, experiment: str, race_id: str) -> list[str]:
    found: list[str] = []
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{RACE_TAG}` = '{race_id}'", page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token
        if not token:
            return found


def _delete(client: Any, runs: Iterable[str]) -> None:
    for run in runs:
        client.delete_run(run)


def _delete_quietly(client: Any, runs: Iterable[str]) -> None:
    try:
        _delete(client, runs)
    except Exception:  # noqa: BLE001 - what went wrong first is told
        return


def _metrics(attempt: Attempt) -> list[Any]:
    from mlflow.entities import Metric

    names = Names(as_key, attempt.criteria)
    curves = [(names.metric(name), curve) for name, curve in attempt.metrics.items()]
    curves += [(names.criterion(name), curve) for name, curve in attempt.criteria.items()]
    return [
        Metric(key, point.value, _ms(point.at), point.epoch)
        for key, curve in curves
        for point in curve
        if point.value is not None
    ]


def _batches(items: list[Any], most: int) -> Iterator[list[Any]]:
    for begin in range(0, len(items), most):
        yield items[begin : begin + most]


def _status(worker: WorkerCurves, attempt: Attempt) -> str:
    """How MLflow calls the end of an attempt. An attempt before the last one ended by itself, and not well."""
    if attempt is not worker.attempts[-1] or worker.row.state in FAILED:
        return "FAILED"
    return "FINISHED" if worker.row.state in FINISHED else "KILLED"


def _ms(at: float) -> int:
    return round(at * 1000)
