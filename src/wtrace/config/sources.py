"""Where a worker's metrics come from: what `[workers.X.metrics]` may say, and which files it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from wtrace.config.compound_kinds import compiled
from wtrace.config.names import CONTROL, is_step
from wtrace.config.schedule import count_planned
from wtrace.data import data
from wtrace.errors import ConfigError

if TYPE_CHECKING:
    from wtrace.config.kinds import Place
    from wtrace.config.spec import MetricsSpec, RaceSpec, WorkerSpec

Base = Literal["output", "worktree", "cwd"]

DEFAULT_PATHS = {
    "csv": "{output}/**/metrics.csv",
    "tensorboard": "{output}/**/events.out.tfevents.*",
    "hf": "{output}/**/trainer_state.json",
}
EPOCH = "epoch"
PATH_BASES = ("output", "worktree")


@data
class FilesPlace:
    """Which files are meant: a folder of the worker's, and below it one glob a level; `**` is any number of levels."""

    base: Base
    parts: tuple[str, ...]


def is_own(spec: MetricsSpec) -> bool:
    """Whether the worker itself writes `metrics.jsonl`, so that nothing has to be translated."""
    return spec.source == "jsonl" and spec.path is None


def epoch_key(spec: MetricsSpec) -> str | None:
    """What the epoch is called in the source; None: an event file's steps are the epochs."""
    if spec.epoch_key is None and spec.source == "tensorboard":
        return None
    return spec.epoch_key or EPOCH


def counts(spec: MetricsSpec) -> bool | None:
    """Whether readings are counted because the source names no epoch; None: that turns out when it is read."""
    if spec.pattern is not None:
        return epoch_key(spec) not in compiled(spec.pattern).groupindex
    if spec.epoch_key is not None or spec.epoch_comes == "last":
        return False
    return True if spec.source == "csv" else None if spec.source in {"jsonl", "stdout"} else False


def files_place(spec: MetricsSpec) -> FilesPlace | None:
    """The files that the source is; None where it is the worker's log, or its own protocol's file."""
    path = spec.path or DEFAULT_PATHS.get(spec.source)
    if path is None:
        return None
    found = re.match(r"\{(output|worktree)\}(?:/|$)", path)
    parts = path[found.end() :] if found else path
    base: Base = "cwd" if found is None else "output" if found[1] == "output" else "worktree"
    return FilesPlace(base, tuple(part for part in parts.split("/") if part not in {"", "."}))


def told_source(spec: MetricsSpec) -> str:
    """Where metrics are read, in words."""
    if is_own(spec):
        return "what it appends to WTRACE_METRICS"
    if spec.source == "stdout":
        return "its log, lines of JSON" if spec.pattern is None else f"its log, by the pattern {spec.pattern}"
    return f"{spec.source} files, {spec.path or DEFAULT_PATHS[spec.source]}"


def doubts(spec: RaceSpec, worker: WorkerSpec) -> list[str]:
    """Why this worker may never win, whatever its metrics are: what the race asks for is not planned, or not said there."""
    metrics = spec.metrics_of(worker)
    if worker.control:
        return []
    planned = count_planned(spec.check_every, spec.epochs_of(worker))
    found = [
        f"`{criterion.name}` asks for {max(criterion.for_checks, criterion.min_checks)} checks, and it has {planned} planned"
        for criterion in spec.success
        if max(criterion.for_checks, criterion.min_checks) > planned
    ]
    return found + _doubts_of_source(spec, metrics)


def _doubts_of_source(spec: RaceSpec, metrics: MetricsSpec) -> list[str]:
    if metrics.pattern is None and metrics.source in {"jsonl", "stdout"}:
        return []  # lines of the worker protocol are passed on, with their samples and checkpoints
    found = [
        f"`{criterion.name}` is judged on samples, and there are none in such a source ({metrics.source})"
        for criterion in spec.success
        if criterion.columns
    ]
    if spec.confirm is not None and metrics.checkpoint is None:
        found.append("its claims cannot be confirmed: set `checkpoint` beside `from`")
    return found


def path_problem(path: str) -> str | None:
    """A path (with `*`, `?`, `[…]` and `**`) in a worker's output folder, its worktree, or where its command runs."""
    if not path.strip() or CONTROL.search(path):
        return "expected a path without control characters"
    rest = re.sub(r"^\{(output|worktree)\}(/|$)", "", path)
    if re.search(r"\{(output|worktree)\}", rest):
        return "a folder between braces stands at the beginning of the path, before a `/`"
    parts = rest.split("/")
    if path.startswith(("/", "~")) or ".." in parts:
        return "expected a path inside {output} or {worktree}, or relative to where the command runs, without `..`"
    if not rest.strip("/."):
        return "expected the path of files, not of a folder"
    if any(part.casefold() == ".git" for part in parts):
        return "git's own folder cannot be named here"
    return None


def checkpoint_problem(path: str) -> str | None:
    """A path relative to the output folder; `{epoch}` in it is the number of the epoch."""
    if not path.strip() or CONTROL.search(path):
        return "expected a path without control characters"
    if path.startswith(("/", "~", "{output}")) or ".." in path.split("/"):
        return "expected a path relative to the output folder, without `..`"
    return None


def check(spec: MetricsSpec, at: Place) -> None:
    """ConfigError for the first key that does not go with the others."""
    if spec.pattern is not None and spec.source != "stdout":
        raise ConfigError(f'{at / "pattern"}: only a log is searched, from = "stdout"', hint="leave it out")
    if spec.path is not None and spec.source == "stdout":
        raise ConfigError(f"{at / 'path'}: the worker's log is read, wherever it lies", hint="leave it out")
    if spec.epoch_comes != "first" and spec.source not in {"jsonl", "stdout"}:
        raise ConfigError(
            f"{at / 'epoch_comes'}: in such a source ({spec.source}) number and metrics stand together",
            hint="leave it out",
        )
    if spec.source == "jsonl" and spec.path is None:
        _refuse_what_own_lines_say(spec, at)
    if spec.pattern is not None:
        _check_groups(spec, at / "pattern")


def _refuse_what_own_lines_say(spec: MetricsSpec, at: Place) -> None:
    for name, given in (
        ("epoch_key", spec.epoch_key is not None),
        ("first_epoch", spec.first_epoch != 1),
        ("epoch_comes", spec.epoch_comes != "first"),
        ("checkpoint", spec.checkpoint is not None),
    ):
        if given:
            raise ConfigError(
                f"{at / name}: lines of the worker protocol say this themselves",
                hint='it is for other sources: from = "stdout", "csv", "tensorboard", "hf", or a `path`',
            )


def _check_groups(spec: MetricsSpec, at: Place) -> None:
    """A pattern without the epoch is one whose readings are counted, unless something else in it looks like the number."""
    assert spec.pattern is not None
    wanted = epoch_key(spec)
    groups = list(compiled(spec.pattern).groupindex)
    step = next((name for name in groups if is_step(name) or name.casefold() == str(wanted).casefold()), None)
    if wanted not in groups and (spec.epoch_key is not None or step is not None):
        mend = (
            f'set epoch_key = "{step}" to race in what it counts, or name a group `{wanted}`'
            if step
            else None
        )
        raise ConfigError(
            f"{at}: no group is called `{wanted}`, so that no epoch is found; got {', '.join(groups)}",
            hint=mend or rf"for example epoch (?P<{wanted}>\d+) loss (?P<loss>\S+)",
        )
    if not [name for name in groups if name != wanted and not is_step(name)]:
        raise ConfigError(
            f"{at}: no named group for a metric", hint=r"for example (?P<loss>\S+) beside the epoch"
        )
    if wanted not in groups and spec.epoch_comes != "first":
        raise ConfigError(
            f"{at}: no group is called `{wanted}`, so that no number comes last", hint="leave out epoch_comes"
        )
