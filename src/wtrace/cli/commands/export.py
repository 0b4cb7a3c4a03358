"""`wtrace export`: hand a race's curves to other tools."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import common
from wtrace.cli.common import RaceOption, find_root, require_standing
from wtrace.errors import ToolError, UsageError
from wtrace.race.paths import Layout
from wtrace.text import plain

if TYPE_CHECKING:
    from wtrace.publish.export.series import RaceCurves


class Form(StrEnum):
    """What the curves are written as."""

    MLFLOW = "mlflow"
    TENSORBOARD = "tensorboard"
    CSV = "csv"
    JSON = "json"


def export(
    to: Annotated[Form, typer.Option("--to", metavar="FORM", help="mlflow, tensorboard, csv or json.")],
    race_id: Annotated[
        str | None, typer.Argument(metavar="[RACE]", help="As --race.", autocompletion=common.races)
    ] = None,
    race: RaceOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PATH",
            help="The file (csv, json; else standard output) or the folder (else in .wtrace/exports/).",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export that is there.")
    ] = False,
) -> None:
    """Hand a race's curves, metrics and criteria, to other tools, also while it runs.

    mlflow: to MLFLOW_TRACKING_URI, else to a local store. Exit code 4: the tool did not take them.
    """
    from wtrace.supervisor.publishing.exporting import gather

    if race_id is not None and race is not None and race_id != race:
        raise UsageError(f"which race: {race_id}, or {race}?", hint="name it once")
    layout = Layout(find_root())
    curves = gather(layout, require_standing(layout.root, race_id or race))
    if to in {Form.CSV, Form.JSON}:
        _to_file(curves, to, output, overwrite=overwrite)
    elif to is Form.TENSORBOARD:
        _to_tensorboard(curves, output or _default(layout, to), overwrite=overwrite)
    else:
        _to_mlflow(curves, layout, output, overwrite=overwrite)


def _default(layout: Layout, to: Form) -> Path:
    return layout.home / "exports" / to.value


def _to_file(curves: RaceCurves, to: Form, path: Path | None, *, overwrite: bool) -> None:
    from wtrace.publish.export.destination import write_file
    from wtrace.publish.export.documents import export_csv, export_json

    text = export_csv(curves) if to is Form.CSV else json.dumps(export_json(curves), allow_nan=False) + "\n"
    if path is None:
        sys.stdout.write(text)
        return
    write_file(path, text, overwrite=overwrite)
    print(plain(f"wrote {path}"))


def _to_tensorboard(curves: RaceCurves, folder: Path, *, overwrite: bool) -> None:
    from wtrace.publish.export.destination import new_folder
    from wtrace.publish.export.tensorboard import FILE_PREFIX, write_runs

    _require_curves(curves)
    place = folder / curves.standing.id
    with new_folder(place, ours=FILE_PREFIX, overwrite=overwrite) as made:
        runs = write_runs(curves, made)
    print(plain(f"wrote {len(runs)} runs to {place}"))
    print(plain(f"  tensorboard --logdir {quote(str(folder))}"))


def _to_mlflow(curves: RaceCurves, layout: Layout, output: Path | None, *, overwrite: bool) -> None:
    from wtrace.publish.export.mlflow_runs import local_store, require_mlflow, shown_uri, write_runs

    _require_curves(curves)
    require_mlflow()  # before anything is made
    uri = os.environ.get("MLFLOW_TRACKING_URI", "") if output is None else ""
    artifacts = None
    if not uri:
        folder = output or _default(layout, Form.MLFLOW)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"cannot write to {folder}", seen=str(error)) from error
        uri, artifacts = local_store(folder), (folder.absolute() / "artifacts").as_uri()
    count = write_runs(curves, uri, artifacts=artifacts, overwrite=overwrite)
    print(plain(f"wrote {count} runs to {shown_uri(uri)}, in the experiment {curves.standing.name}"))
    if artifacts is not None:
        print(plain(f"  mlflow ui --backend-store-uri {quote(uri)}"))


def _require_curves(curves: RaceCurves) -> None:
    if all(attempt.is_empty for worker in curves.workers for attempt in worker.attempts):
        raise UsageError(f"race {curves.standing.id} has no curves: nothing was reported")
