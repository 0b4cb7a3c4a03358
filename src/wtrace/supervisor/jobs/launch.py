"""An attempt before it starts: its folder, its command with everything filled in, its environment."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.placeholders import fill, with_python
from wtrace.metrics.foreign import translation
from wtrace.race.resources import default_variables, device_variables, variables
from wtrace.runners.base import Launch, Needs, Parcel
from wtrace.runners.machine import free_port
from wtrace.store.foreign import NEWEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.race.context import RaceContext
    from wtrace.race.resources import Grant

WIDE = "500"
"""Columns for what a worker prints: without a terminal rich would wrap its lines at 80, in the middle of a number."""

PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES})


def may_pass(error: Exception) -> bool:
    """Whether it is the disk that has no room, or lets nobody write: something that a person can mend meanwhile."""
    return isinstance(error, OSError) and error.errno in PASSING


def prepare_attempt(race: RaceContext, worker: str, attempt: int, grant: Grant | None = None) -> Launch:
    """Make the attempt's folder and say what is to be started in it. OSError: the disk does not let us."""
    layout = race.layout
    folder = layout.attempt(worker, attempt)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.output(worker).mkdir(mode=0o700, exist_ok=True)
    (folder / "metrics.jsonl").touch(mode=0o600)
    translation.note_leftovers(race, worker, folder)
    for name in NEWEST:
        _link_newest(layout.worker(worker) / name, Path("attempts", str(attempt), name))
    return Launch(
        folder=folder,
        command=command_of(race, worker, attempt),
        cwd=working_directory(race, worker),
        env=environment_of(race, worker, folder / "metrics.jsonl", os.environ, grant),
        grace_s=race.spec.grace_s,
        signal=race.spec.signal,
        marker=f"{race.id}/{worker}/{attempt}",
        runner=race.spec.runner_of(race.spec.worker(worker)),
        needs=needs_of(race, worker),
        parcel=parcel_of(race, worker, folder / "metrics.jsonl"),
    )


def newest_attempt(race: RaceContext, worker: str) -> Path | None:
    """The folder of the worker's newest attempt; None before the first."""
    folders = [folder for folder in race.layout.attempts(worker).glob("*") if folder.name.isdigit()]
    return max(folders, key=lambda folder: int(folder.name), default=None)


def needs_of(race: RaceContext, worker: str) -> Needs:
    """What an engine is asked for."""
    spec = race.spec.worker(worker)
    return Needs(spec.cpus, spec.gpus, spec.memory_bytes)


def parcel_of(race: RaceContext, worker: str, metrics: Path, *files: Path) -> Parcel | None:
    """What another machine has to be sent: the commit that was recorded at the start, and what the command reads."""
    if race.spec.runner_of(race.spec.worker(worker)) == "local":
        return None
    from wtrace.git.commit import export_commit, largest

    place = race.places[worker]
    worktree = Path(place.worktree)
    return Parcel(
        worktree=worktree,
        output=race.layout.output(worker),
        export=partial(export_commit, worktree, place.commit),
        env=added_environment(race, worker, metrics),
        files=files,
        mirrors=not files,  # a confirmation reads its checkpoint, and leaves the output alone
        largest=partial(largest, worktree, place.commit),
    )


def working_directory(race: RaceContext, worker: str) -> Path:
    """The worktree, or the folder in it that the config names."""
    return Path(race.places[worker].worktree) / (race.spec.worker(worker).cwd or "")


def command_of(race: RaceContext, worker: str, attempt: int) -> tuple[str, ...]:
    """The worker's command, its placeholders filled in, `python` being the one that the worktree selects."""
    values = command_values(race, worker, race.layout.attempt(worker, attempt) / "metrics.jsonl")
    command = fill(race.spec.worker(worker).command, values)
    return with_python(command, python_of(Path(race.places[worker].worktree)))


def command_values(race: RaceContext, worker: str, metrics: Path) -> dict[str, str]:
    """What stands for the placeholders in a command."""
    return {
        "output": str(race.layout.output(worker)),
        "worker": worker,
        "race": race.spec.name,
        "check_every": str(race.spec.check_every),
        "max_epochs": str(race.spec.epochs_of(race.spec.worker(worker))),
        "worktree": race.places[worker].worktree,
        "metrics": str(metrics),
        "checkpoint": "",  # only a confirmation has one
    }


def python_of(worktree: Path) -> str:
    """The worktree's own `.venv` if it has one, else the Python that runs wtrace."""
    own = worktree / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def own_environment(race: RaceContext, worker: str, metrics: Path) -> dict[str, str]:
    """What wtrace itself adds to a worker's environment."""
    return {
        "WTRACE_METRICS": str(metrics),
        "WTRACE_OUTPUT": str(race.layout.output(worker)),
        "WTRACE_WORKER": worker,
        "WTRACE_RACE": race.spec.name,
        "WTRACE_CHECK_EVERY": str(race.spec.check_every),
        "WTRACE_MAX_EPOCHS": str(race.spec.epochs_of(race.spec.worker(worker))),
    }


def environment_of(
    race: RaceContext,
    worker: str,
    metrics: Path,
    inherited: Mapping[str, str],
    grant: Grant | None = None,
) -> dict[str, str]:
    """The worker's whole environment. What git sets for its hooks would point it at the wrong repo: left out."""
    kept = {name: value for name, value in inherited.items() if name not in GIT_LOCAL}
    if race.spec.runner_of(race.spec.worker(worker)) != "local":
        grant = None  # what of a node it gets is the engine's to say
    return {
        "PYTHONUNBUFFERED": "1",  # so that the log shows what happens when it happens
        "COLUMNS": WIDE,
        **default_variables(grant),
        **kept,
        **_of_own_venv(Path(race.places[worker].worktree), kept),
        "MASTER_PORT": str(free_port()),  # one that was inherited would be everybody's
        **variables(grant),
        **race.spec.worker(worker).env,
        **device_variables(grant),
        **own_environment(race, worker, metrics),
    }


def added_environment(race: RaceContext, worker: str, metrics: Path) -> dict[str, str]:
    """What the race adds to a worker's environment wherever it runs: the config's and wtrace's own."""
    return {**race.spec.worker(worker).env, **own_environment(race, worker, metrics)}


def _of_own_venv(worktree: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """As if the worktree's own `.venv` were active: `torchrun` and its like are then the worktree's too."""
    own = worktree / ".venv"
    if not (own / "bin" / "python").exists():
        return {}
    path = inherited.get("PATH", os.defpath)
    return {"VIRTUAL_ENV": str(own), "PATH": f"{own / 'bin'}{os.pathsep}{path}"}


GIT_LOCAL = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"}
)


def _link_newest(link: Path, target: Path) -> None:
    temporary = link.with_name(f".{link.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
