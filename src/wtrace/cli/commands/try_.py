"""`wtrace try`: read a log or a metrics file as a race would, and propose how where nothing says so."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import common
from wtrace.cli.commands.try_sources import Input, Setting, answer, answer_as_any
from wtrace.cli.common import (
    CONFIG_NAME,
    ConfigOption,
    JsonOption,
    find_root,
    latest_standing,
    read_config,
    regular,
)
from wtrace.config import sources
from wtrace.data import replace
from wtrace.errors import UsageError

if TYPE_CHECKING:
    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.race.status import WorkerStanding

STDIN = "-"


def try_(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|-]", help="A log, CSV, JSON or event file; `-` is standard input."),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            "--worker", metavar="NAME", help="As whose it is read.", autocompletion=common.configured
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a log or a metrics file as a race would: which lines match, which epochs are judged, how each criterion stands.

    Without FILE it is the newest log of that worker. Where nothing says how to read it, `[metrics]` are proposed.
    Nothing is started, and nothing is written.
    """
    from wtrace.cli.terminal import trial_view
    from wtrace.cli.terminal.table import terminal_width

    gc.disable()  # nothing here lives longer; a collection would count as time that a pattern takes
    setting = _setting(config, worker, is_named=file is not None)
    with tempfile.TemporaryDirectory(prefix="wtrace-try-") as folder:
        if file is None:
            newest, given = _newest(setting)
            setting = replace(setting, worker=newest)
        else:
            given = _input(file, Path(folder))
        reads = answer_as_any if worker is None and setting.worker is None else answer
        found = reads(setting, given, Path(folder))
    if as_json:
        print(json.dumps(trial_view.as_json(found), allow_nan=False))
        return
    for line in trial_view.lines_of(found, terminal_width()):
        print(line)


def _setting(config: Path | None, worker: str | None, *, is_named: bool) -> Setting:
    """What the config says. A file is read without any as well; UsageError where a worker's log is asked for."""
    try:
        root = find_root()
    except UsageError:
        if config is None and (worker is not None or not is_named):
            raise
        root = None
    path = config if config is not None else None if root is None else root / CONFIG_NAME
    if path is None or (config is None and not path.exists()):
        if worker is not None:
            raise UsageError(
                f"there is no config that could name a worker {worker}", hint="`wtrace init` writes one"
            )
        return Setting(root)
    spec = read_config(root or path.parent, path)
    return Setting(root, spec, None if worker is None else _worker(spec, worker))


def _worker(spec: RaceSpec, name: str) -> WorkerSpec:
    from wtrace.config.names import did_you_mean

    known = [worker.name for worker in spec.workers]
    if name not in known:
        raise UsageError(f"there is no worker {name} in the config{did_you_mean(name, known)}")
    return spec.worker(name)


def _input(file: str, folder: Path) -> Input:
    if file != STDIN:
        return Input(file, regular(file))
    path = folder / "stdin"
    with path.open("wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    return Input("standard input", path)


def _newest(setting: Setting) -> tuple[WorkerSpec, Input]:
    """The newest attempt of the worker that is asked for, else of that whose log was written to last."""
    assert setting.root is not None
    if setting.spec is None:
        raise UsageError(
            "there is no config, so that no worker is known", hint="name a file: `wtrace try FILE`"
        )
    standing = latest_standing(setting.root)
    names = {worker.name for worker in setting.spec.workers}
    rows = [
        row
        for row in (() if standing is None else standing.workers)
        if row.name in names
        and (setting.worker is None or row.name == setting.worker.name)
        and Path(row.log).exists()
    ]
    if not rows:
        whose = "any worker" if setting.worker is None else setting.worker.name
        raise UsageError(f"there is no log of {whose} yet", hint="name a file: `wtrace try FILE`")
    row = max(rows, key=lambda row: Path(row.log).stat().st_mtime)
    return setting.spec.worker(row.name), _attempt(setting.spec, row)


def _attempt(spec: RaceSpec, row: WorkerStanding) -> Input:
    from wtrace.metrics.foreign.old_files import read_leftovers
    from wtrace.metrics.foreign.source_files import located

    worker, log = spec.worker(row.name), Path(row.log).resolve()
    metrics = spec.metrics_of(worker)
    place = sources.files_place(metrics)
    where = (
        None
        if place is None
        else located(place, output=Path(row.output), worktree=Path(row.worktree), cwd=worker.cwd)
    )
    own = log.with_name("metrics.jsonl") if sources.is_own(metrics) else None
    told = f"the newest {'log' if where is None else 'files'} of {row.name}"
    whole = row.exit is not None and row.exit.code == 0
    return Input(told, log, where, read_leftovers(log.parent), ended=whole, own=own)
