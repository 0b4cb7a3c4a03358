"""What must hold between the parts of a config, once each part by itself is right."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from wtrace.config import sources
from wtrace.config.engines import ENGINES, check_settings, engine_of
from wtrace.config.kinds import Place
from wtrace.config.names import did_you_mean
from wtrace.config.schedule import count_planned
from wtrace.errors import ConfigError
from wtrace.text import plain as visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from wtrace.config.spec import RaceSpec, WorkerSpec


def check(spec: RaceSpec) -> None:
    """ConfigError for the first rule that the race breaks."""
    _check_that_it_can_be_won(spec)
    _check_names(spec)
    _check_branches(spec)
    for worker in spec.workers:
        if worker.combines:
            _check_combines(spec, worker)
    _check_runners(spec)
    _check_far_workers(spec)
    sources.check(spec.metrics, Place(("metrics",)))
    for worker in spec.workers:
        _check_gpus(worker)
        _check_sparse(spec, worker)
        if worker.metrics is not None:
            sources.check(worker.metrics, _place(worker, "metrics"))


def _check_that_it_can_be_won(spec: RaceSpec) -> None:
    if not spec.success:
        raise ConfigError(
            "success: at least one criterion is required",
            hint='for example, under [success]: accuracy = "mean(accuracy) >= 0.75"',
        )
    if not spec.workers:
        raise ConfigError(
            "workers: at least one worker is required",
            hint="a table [workers.NAME] with a branch and a command",
        )
    if all(worker.control for worker in spec.workers):
        raise ConfigError(
            "workers: every worker is a control, and a control can never win",
            hint="leave out `control = true` at one of them",
        )


def check_plan(spec: RaceSpec) -> None:
    """ConfigError where a criterion asks for more checks than any worker has planned, so that nobody can win."""
    counts = [count_planned(spec.check_every, spec.epochs_of(w)) for w in spec.workers if not w.control]
    for criterion in spec.success:
        for key, asked in (("for_checks", criterion.for_checks), ("min_checks", criterion.min_checks)):
            if asked > max(counts):
                plan = f"check_every = {spec.check_every} and max_epochs = {max(map(spec.epochs_of, spec.workers))}"
                raise ConfigError(
                    f"{Place(('success', criterion.name, key))}: {asked} checks are asked for, and {plan} make {max(counts)}",
                    hint="ask for fewer, or check more often",
                )


def _check_names(spec: RaceSpec) -> None:
    seen: dict[str, str] = {}
    for worker in spec.workers:
        other = seen.setdefault(worker.name.casefold(), worker.name)
        if other != worker.name:
            raise ConfigError(
                f"{_place(worker)}: differs from `{other}` only in upper and lower case",
                hint="their folders would be one on some file systems",
            )


def _check_branches(spec: RaceSpec) -> None:
    owner: dict[str, str] = {}
    for worker in spec.workers:
        if worker.branch in owner:
            raise ConfigError(
                f"{_place(worker, 'branch')}: {_quoted(worker.branch)} is the branch of `{owner[worker.branch]}` already",
                hint="each worker needs a branch of its own",
            )
        owner[worker.branch] = worker.name
    every = {*owner, *([spec.base] if spec.base is not None else [])}
    for worker in spec.workers:
        _check_nesting(worker.branch, every, _place(worker, "branch"))
    if spec.base is not None:
        _check_nesting(spec.base, every, Place(("race", "base")))


def _check_nesting(branch: str, every: set[str], at: Place) -> None:
    above = _folder_among(branch, every)
    if above is not None:
        raise ConfigError(
            f"{at}: git cannot have the branches {_quoted(above)} and {_quoted(branch)} side by side"
        )


def _folder_among(branch: str, every: Collection[str]) -> str | None:
    """Git keeps a branch as a file, and `a` cannot be a file and the folder of `a/b` at once."""
    return next((str(folder) for folder in PurePosixPath(branch).parents if str(folder) in every), None)


def side_by_side(branches: Iterable[str], base: str | None) -> list[str]:
    """Of these branches those that git can have beside the base and the ones before, each once."""
    kept: list[str] = []
    beside = [] if base is None else [base]
    for branch in branches:
        others = [*beside, *kept]
        below = any(other.startswith(f"{branch}/") for other in others)
        if branch not in others and not below and _folder_among(branch, others) is None:
            kept.append(branch)
    return kept


def _check_combines(spec: RaceSpec, worker: WorkerSpec) -> None:
    at = _place(worker, "combines")
    known = {each.name: each for each in spec.workers if each is not worker}
    for name in worker.combines:
        if name == worker.name:
            raise ConfigError(f"{at}: a worker cannot combine itself")
        if name not in known:
            raise ConfigError(f"{at}: no worker is called `{name}`{did_you_mean(name, known)}")
        if known[name].combines:
            raise ConfigError(f"{at}: `{name}` combines others itself; name those instead")


FAR_SOURCES = ("jsonl", "stdout")
"""What can be read of a worker whose files are on another machine until they are whole."""


def _check_far_workers(spec: RaceSpec) -> None:
    for worker in spec.workers:
        if engine_of(spec, spec.runner_of(worker)).kind != "ray":
            continue
        if worker.include:
            raise ConfigError(
                f"{_place(worker, 'include')}: it prepares a worktree, and Ray is sent the commit alone",
                hint="put these files where every node reaches them",
            )
        source = spec.metrics_of(worker).source
        if source not in FAR_SOURCES:
            raise ConfigError(
                f"{_place(worker)}: on Ray, metrics can be read from {' or '.join(FAR_SOURCES)}, not from {source}",
                hint="have the training print them, and read them with a pattern",
            )


def _check_runners(spec: RaceSpec) -> None:
    for runner in spec.runners:
        check_settings(runner)
    known = (*ENGINES, *(runner.name for runner in spec.runners))
    asked = [(Place(("race", "runner")), spec.runner)]
    asked += [
        (_place(worker, "runner"), worker.runner) for worker in spec.workers if worker.runner is not None
    ]
    for at, name in asked:
        if name not in known:
            raise ConfigError(
                f"{at}: no runner is called {_quoted(name)}{did_you_mean(name, known)}",
                hint="the engine's settings stand in a table [runners.NAME]",
            )


def _check_gpus(worker: WorkerSpec) -> None:
    if worker.gpus > 1 and worker.gpus != int(worker.gpus):
        raise ConfigError(
            f"{_place(worker, 'gpus')}: expected a whole number of GPUs, or a part of one, got {worker.gpus:g}",
            hint="a part lies between 0 and 1, such as 0.25",
        )


def _check_sparse(spec: RaceSpec, worker: WorkerSpec) -> None:
    """What judges must be checked out everywhere. Files at the root always are."""
    folders = [PurePosixPath(folder) for folder in worker.sparse]
    for name in spec.judge.files if folders else ():
        file = PurePosixPath(name)
        if len(file.parts) > 1 and not any(folder in file.parents for folder in folders):
            raise ConfigError(
                f"{_place(worker, 'sparse')}: {_quoted(name)}, which judges, would not be checked out",
                hint=f"add {_quoted(str(file.parent))}",
            )


def _place(worker: WorkerSpec, *parts: str) -> Place:
    return Place(("workers", worker.name, *parts))


def _quoted(text: str) -> str:
    return f"`{visible(text, 70)}`"
