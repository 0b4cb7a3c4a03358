"""Where the workers of a race run: the runners that its config names, made or asked whether they are fit for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.errors import ConfigError
from wtrace.runners.local import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wtrace.config.engines import Engine
    from wtrace.config.spec import RaceSpec
    from wtrace.git.worktrees import Prepared
    from wtrace.runners.base import Runner


def make_runner(spec: RaceSpec) -> Runner:
    """All the places of the race as one runner; a race on this machine alone pays for no other."""
    if spec.is_local:
        return LocalRunner()
    from wtrace.config.engines import engine_of
    from wtrace.runners.fleet import Fleet

    return Fleet(LocalRunner(), lambda name: _make(engine_of(spec, name)))


def _make(engine: Engine) -> Runner:
    if engine.kind == "slurm":
        from wtrace.runners.slurm import SlurmRunner

        return SlurmRunner(engine.name, engine.settings)
    from wtrace.runners.ray.runner import RayRunner

    return RayRunner(engine.name, engine.settings)


def engines_of(spec: RaceSpec) -> list[Engine]:
    """The engines, this machine aside, that workers of the race run on."""
    from wtrace.config.engines import LOCAL, engine_of

    names = dict.fromkeys(spec.runner_of(worker) for worker in spec.workers)
    return [engine_of(spec, name) for name in names if name != LOCAL]


def require_engines(spec: RaceSpec) -> None:
    """WtraceError, in one line, for an engine that does not answer, or would refuse what the config asks of it."""
    for engine in engines_of(spec):
        for _ in check_engine(engine):
            pass


def check_parcels(spec: RaceSpec, prepared: Sequence[Prepared]) -> list[str]:
    """What a machine that is sent a commit will lack of it, a line each. ConfigError where a commit is too large.

    Asked of workers whose engine shares no folder with this machine.
    """
    from wtrace.config.engines import engine_of
    from wtrace.git import commit

    warnings: list[str] = []
    for made in prepared:
        worker = spec.worker(made.worker)
        if engine_of(spec, spec.runner_of(worker)).kind != "ray":
            continue
        _check_size(made)
        lacks = [
            *commit.left_out(made.path, made.commit),
            *(["its uncommitted changes"] if made.dirty else []),
            *(["what its set-up does not commit"] if worker.setup else []),
        ]
        if lacks:
            warnings.append(f"{made.worker}: Ray is not sent {', '.join(lacks)}")
    return warnings


def _check_size(made: Prepared) -> None:
    from wtrace.git import commit
    from wtrace.runners.ray.parcel import most_bytes
    from wtrace.text import size

    most, total = most_bytes(), commit.size_of(made.path, made.commit)
    if total >= most:
        large = ", ".join(f"{path} {size(count)}" for path, count in commit.largest(made.path, made.commit))
        raise ConfigError(
            f"workers.{made.worker}.branch: {size(total)} on {made.branch} are more than Ray takes with a job ({size(most)})",
            seen=f"the largest: {large}",
            hint="put data where every node reaches them, and name that place in the command or `env`",
        )


def check_engine(engine: Engine) -> Iterator[str]:
    """What is found out about an engine, a line each. WtraceError for what makes it unfit."""
    if engine.kind == "slurm":
        from wtrace.runners.slurm_commands import check_slurm

        yield from check_slurm(engine.settings)
    else:
        from wtrace.runners.ray.client import check as check_ray

        yield from check_ray(engine.settings)
