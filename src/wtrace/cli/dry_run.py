"""`wtrace run --dry-run`: what would start where, with which command and environment."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from wtrace.core import view
from wtrace.core.layout import Layout
from wtrace.core.plan import count_planned, divisor
from wtrace.core.sources import doubts, told_source
from wtrace.core.text import plain
from wtrace.supervisor.attempts import command_of, own_environment, working_directory
from wtrace.supervisor.context import RaceContext
from wtrace.supervisor.outlook import merge_outlook
from wtrace.supervisor.record import worktrees_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wtrace.core.spec import RaceSpec, WorkerSpec

RACE_ID = "RACE_ID"


def print_plan(root: Path, spec: RaceSpec) -> None:
    """Print it; nothing is made, nothing is started."""
    parent = worktrees_folder(root, spec)
    layout = Layout(root).race(RACE_ID)
    places = {
        worker.name: view.Place(worker.branch, "", str(parent / worker.name), "", "")
        for worker in spec.workers
    }
    race = RaceContext(RACE_ID, spec, layout, places)
    branches = {worker.name: worker.branch for worker in spec.workers if not worker.combines}
    outlook = {each.worker: each.words for each in merge_outlook(root, spec, branches) if each.conflicts}
    for line in _lines(race, outlook):
        print(plain(line))


def _lines(race: RaceContext, outlook: Mapping[str, str]) -> Iterator[str]:
    spec = race.spec
    at_once = spec.max_parallel or len(spec.workers)
    yield f"race {spec.name}: {len(spec.workers)} workers, at most {at_once} at once"
    yield f"p thresholds are divided by {divisor(spec)}"
    for worker in sorted(spec.workers, key=lambda worker: -worker.priority):
        yield from _worker_lines(race, worker)
        if worker.name in outlook:
            yield f"  merge:   if it wins, it {outlook[worker.name]}"
    yield "nothing was started"


def _worker_lines(race: RaceContext, worker: WorkerSpec) -> Iterator[str]:
    epochs = race.spec.epochs_of(worker)
    checks = count_planned(race.spec.check_every, epochs)
    yield ""
    yield f"{worker.name}{_role(worker)} on branch {worker.branch}"
    yield f"  checks:  {checks}, up to epoch {epochs}"
    yield f"  in:      {working_directory(race, worker.name)}"
    metrics = race.layout.attempt(worker.name, 1) / "metrics.jsonl"
    yield f"  command: {shlex.join(command_of(race, worker.name, 1))}"
    yield f"  metrics: {told_source(race.spec.metrics_of(worker))}"
    yield from (f"  warning: {doubt}" for doubt in doubts(race.spec, worker))
    for name, value in own_environment(race, worker.name, metrics).items():
        yield f"  {name}={value}"
    for name in sorted(worker.env):
        yield f"  {name}=(as the config says)"


def _role(worker: WorkerSpec) -> str:
    if worker.combines:
        return f" (only when all others ended without success: combines {', '.join(worker.combines)})"
    return " (control)" if worker.control else ""
