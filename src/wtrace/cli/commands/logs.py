"""`wtrace logs`: a worker's log, made safe for the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import common
from wtrace.cli.common import RaceOption, find_root, require_standing, require_workers
from wtrace.cli.terminal.log_file import LogFile, shown_line
from wtrace.errors import ToolError, UsageError
from wtrace.race.paths import Layout

if TYPE_CHECKING:
    from collections.abc import Callable


def logs(
    worker: Annotated[str, typer.Argument(metavar="WORKER", autocompletion=common.workers)],
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on as the log grows, until the race ends.")
    ] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 40,
    race: RaceOption = None,
) -> None:
    """Show the log of a worker. Whatever a training printed, it cannot drive your terminal."""
    root = find_root()
    standing = require_standing(root, race)
    require_workers(standing, [worker])
    row = next(row for row in standing.workers if row.name == worker)
    path = Layout(root).race(standing.id).worker(worker) / "training.log"  # whatever the record calls it
    if not path.exists():
        path = _log_of_setup(path.parent) or path
    if not path.exists() and not follow:
        raise UsageError(f"{worker} has no log yet: it is {row.state}")
    try:
        _print_log(path, lines, ended=(lambda: _has_ended(root, standing.id, worker)) if follow else None)
    except OSError as error:
        if (
            error.filename is None
        ):  # not the log, but our output: whoever read it has gone, or its disk is full
            raise
        raise ToolError(f"cannot read {path}", seen=str(error)) from error


def _log_of_setup(folder: Path) -> Path | None:
    """What the command said that prepares the worktree, or did last: there is no other log yet."""
    logs = sorted(folder.glob("setup/*/training.log"), key=lambda file: int(file.parent.name))
    return logs[-1] if logs else None


def _has_ended(root: Path, race_id: str, worker: str) -> bool:
    standing = require_standing(root, race_id)
    row = next(row for row in standing.workers if row.name == worker)
    over = standing.ended is not None or not standing.supervisor_alive
    return over or (row.exit is not None and row.state != "retrying")


def _print_log(path: Path, count: int, ended: Callable[[], bool] | None) -> None:
    """The last lines; with `ended`, also what is added until it says so. A later attempt's log is begun anew."""
    with LogFile(path) as log:
        if log.reopen():
            for line in log.last_lines(count):
                _show(line)
        while ended is not None:
            over = ended()
            for line in log.new_lines(unfinished=over):
                _show(line)
            if log.reopen():
                continue
            if over:
                return
            log.wait()


def _show(line: bytes) -> None:
    sys.stdout.write(shown_line(line) + "\n")
    sys.stdout.flush()
