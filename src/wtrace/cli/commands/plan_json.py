"""`wtrace run --dry-run --json`: the plan for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.cli.commands.dry_run import grant_of, look_ahead, variables_of, warnings_of
from wtrace.config.schedule import count_planned, divisor
from wtrace.config.sources import told_source
from wtrace.race import resources
from wtrace.supervisor.jobs.launch import command_of, working_directory
from wtrace.supervisor.run import find_machine

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.race.context import RaceContext
    from wtrace.race.resources import Machine


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
