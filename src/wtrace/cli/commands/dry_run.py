"""`wtrace run --dry-run`: what would start where, with which command and environment; as text and as JSON."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.schedule import count_planned, divisor
from wtrace.config.sources import doubts, told_source
from wtrace.git.mentions import silence
from wtrace.race import resources, view
from wtrace.race.context import RaceContext
from wtrace.race.paths import Layout
from wtrace.supervisor.create import worktrees_folder
from wtrace.supervisor.jobs.launch import command_of, own_environment, working_directory
from wtrace.supervisor.merging import merge_outlook
from wtrace.supervisor.run import find_machine
from wtrace.text import plain, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.race.resources import Machine

RACE_ID = "RACE_ID"


def print_plan(root: Path, spec: RaceSpec) -> None:
    """Print it; nothing is made, nothing is started."""
    race, outlook = look_ahead(root, spec)
    for line in _lines(race, outlook):
        print(plain(line))


def look_ahead(root: Path, spec: RaceSpec) -> tuple[RaceContext, dict[str, str]]:
    """The race as it would be, and in words, by worker, what would hinder a merge if it won."""
    parent = worktrees_folder(root, spec)
    layout = Layout(root).race(RACE_ID)
    places = {
        worker.name: view.Place(worker.branch, "", str(parent / worker.name), "", "")
        for worker in spec.workers
    }
    branches = {worker.name: worker.branch for worker in spec.workers if not worker.combines}
    outlook = {each.worker: each.words for each in merge_outlook(root, spec, branches) if each.conflicts}
    return RaceContext(RACE_ID, spec, layout, places), outlook


def _lines(race: RaceContext, outlook: Mapping[str, str]) -> Iterator[str]:
    spec = race.spec
    machine = find_machine(spec)
    at_once = resources.at_once(spec, machine)
    yield f"race {spec.name}: {len(spec.workers)} workers, at most {at_once} at once"
    yield f"p thresholds are divided by {divisor(spec)}"
    for worker in sorted(spec.workers, key=lambda worker: -worker.priority):
        yield from _worker_lines(race, worker, machine)
        if worker.name in outlook:
            yield f"  merge:   if it wins, it {outlook[worker.name]}"
    yield "nothing was started"


def _worker_lines(race: RaceContext, worker: WorkerSpec, machine: Machine) -> Iterator[str]:
    epochs = race.spec.epochs_of(worker)
    checks = count_planned(race.spec.check_every, epochs)
    yield ""
    yield f"{worker.name}{_role(worker)} on branch {worker.branch}"
    yield f"  checks:  {checks}, up to epoch {epochs}"
    runner = race.spec.runner_of(worker)
    if runner != "local":
        yield f"  on:      {runner}"
    yield f"  in:      {working_directory(race, worker.name)}"
    if worker.sparse:
        yield f"  only:    {', '.join(worker.sparse)}"
    for item in worker.include:
        yield f"  brings:  {item.path}{' (a link)' if item.link else ''}"
    for command in worker.setup:
        yield f"  set-up:  {shlex.join(command)}"
    yield from _asked_lines(race.spec, worker, machine)
    yield f"  command: {shlex.join(command_of(race, worker.name, 1))}"
    yield f"  metrics: {told_source(race.spec.metrics_of(worker))}"
    yield from (f"  warning: {doubt}" for doubt in warnings_of(race, worker))
    given = grant_of(race, worker, machine)
    for name, value in variables_of(race, worker, given).items():
        yield f"  {name}={value}"
    if resources.device_variables(given):
        yield "  CUDA_VISIBLE_DEVICES=(what is free when it starts)"
    for name in sorted(worker.env):
        yield f"  {name}=(as the config says)"


def warnings_of(race: RaceContext, worker: WorkerSpec) -> list[str]:
    """Why this worker may never win: its source lacks what the race asks for, or nothing is heard of it at all."""
    silent = silence(race.root, race.spec, worker, Path(race.places[worker.name].worktree))
    return [*doubts(race.spec, worker), *([silent] if silent else [])]


def grant_of(race: RaceContext, worker: WorkerSpec, machine: Machine) -> resources.Grant | None:
    """What the worker would be handed out on a machine that is free; None where it cannot run here."""
    grant = resources.fit(race.spec, worker, machine, resources.Taken(), None)
    return grant if isinstance(grant, resources.Grant) else None


def variables_of(race: RaceContext, worker: WorkerSpec, grant: resources.Grant | None) -> dict[str, str]:
    """What would be added to the worker's environment, as far as it is known before the start."""
    metrics = race.layout.attempt(worker.name, 1) / "metrics.jsonl"
    own = own_environment(race, worker.name, metrics)
    return own | resources.default_variables(grant) | resources.variables(grant)


def _asked_lines(spec: RaceSpec, worker: WorkerSpec, machine: Machine) -> Iterator[str]:
    asked = {
        f"{worker.gpus:g} GPUs": worker.gpus,
        f"{worker.cpus or 0:g} cores": worker.cpus,
        f"{size(worker.memory_bytes)} of memory": worker.memory_bytes,
    }
    if words := [what for what, count in asked.items() if count]:
        yield f"  asks:    {', '.join(words)}"
    lack = resources.never_fits(resources.demand_of(spec, worker, machine), machine)
    if lack is not None:
        yield f"  cannot run here: it {lack}"


def _role(worker: WorkerSpec) -> str:
    if worker.combines:
        return f" (only when all others ended without success: combines {', '.join(worker.combines)})"
    return " (control)" if worker.control else ""


def plan_json(root: Path, spec: RaceSpec) -> dict[str, Any]:
    """What would start where, workers in the order of their priority; nothing is made, nothing is started."""
    race, outlook = look_ahead(root, spec)
    machine = find_machine(spec)
    return {
        "schema": 1,
        "name": spec.name,
        "at_once": resources.at_once(spec, machine),
        "p_divisor": divisor(spec),
        "workers": [
            {**_worker(race, worker, machine), "conflicts": outlook.get(worker.name)}
            for worker in sorted(spec.workers, key=lambda worker: -worker.priority)
        ],
    }


def _worker(race: RaceContext, worker: WorkerSpec, machine: Machine) -> dict[str, Any]:
    epochs = race.spec.epochs_of(worker)
    lack = resources.never_fits(resources.demand_of(race.spec, worker, machine), machine)
    return {
        "name": worker.name,
        "branch": worker.branch,
        "control": worker.control,
        "combines": list(worker.combines),
        "max_epochs": epochs,
        "checks": count_planned(race.spec.check_every, epochs),
        "runner": race.spec.runner_of(worker),
        "directory": str(working_directory(race, worker.name)),
        "setup": [list(command) for command in worker.setup],
        "command": list(command_of(race, worker.name, 1)),
        "metrics": told_source(race.spec.metrics_of(worker)),
        "environment": variables_of(race, worker, grant_of(race, worker, machine)),
        "cannot_run": None if lack is None else f"it {lack}",
        "warnings": warnings_of(race, worker),
    }
