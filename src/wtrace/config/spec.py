"""What a race is, in typed form. `core.config` makes a `RaceSpec` from the text of `wtrace.toml`."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtrace.config.language.criteria import Criterion

Argv = tuple[str, ...]
SignalFirst = Literal["leader", "tree"]
OnStall = Literal["warn", "restart", "stop"]
OnNan = Literal["warn", "stop"]
MergePolicy = Literal["ask", "auto", "never"]
Correction = Literal["bonferroni", "none"]
OnWin = Literal["auto", "stop", "settle", "finish"]
KeepCheckpoints = Literal["best", "all", "last"]
MetricsSource = Literal["jsonl", "stdout", "csv", "tensorboard", "hf"]
EpochComes = Literal["first", "last"]


@data
class MetricsSpec:
    """Where a worker's metrics come from; `core.sources` says what the parts mean. `None`: as usual for the source."""

    source: MetricsSource = "jsonl"
    pattern: str | None = None
    path: str | None = None
    epoch_key: str | None = None
    first_epoch: int = 1
    checkpoint: str | None = None
    epoch_comes: EpochComes = "first"


@data
class IncludeSpec:
    """Untracked files of the main worktree that are brought along: copied, or (only when asked) linked to."""

    path: str
    link: bool = False


@data
class WorkerSpec:
    """One branch of the race and how its training starts. `None` means: as `[race]` says."""

    name: str
    branch: str
    command: Argv
    priority: int = 0
    control: bool = False
    combines: tuple[str, ...] = ()
    max_epochs: int | None = None
    retries: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    gpus: float = 0.0
    cpus: float | None = None
    memory_bytes: int | None = None
    runner: str | None = None
    include: tuple[IncludeSpec, ...] = ()
    sparse: tuple[str, ...] = ()
    setup: tuple[Argv, ...] = ()
    metrics: MetricsSpec | None = None


@data
class JudgeSpec:
    """How checks are judged. `files` must be byte-equal in every branch."""

    files: tuple[str, ...] = ()
    correction: Correction = "bonferroni"
    stop_at_first: bool = True


@data
class ConfirmSpec:
    """A claim is judged again on held-out data by this command."""

    command: Argv
    attempts: int = 3
    timeout_s: float = 600.0


@data
class FiguresSpec:
    """What the figures show."""

    before_epoch: int = 0
    sample_pass: tuple[Criterion, ...] = ()


@data
class RunnerSpec:
    """`[runners.NAME]`: a place to run, with the engine's own settings."""

    name: str
    settings: Mapping[str, str | int | float | bool]


@data
class SyncSpec:
    """`[sync.NAME]`: a machine that progress and results are mirrored to."""

    name: str
    host: str
    path: str = "wtrace/{race}"
    every_s: float = 120.0
    results: bool = True
    rsync: str = "rsync"
    ssh_config: str | None = None


@data
class RaceSpec:
    """A whole race, resolved: every default is filled in."""

    name: str
    success: tuple[Criterion, ...]
    workers: tuple[WorkerSpec, ...]
    base: str | None = None
    check_every: int = 5
    max_epochs: int = 50
    max_parallel: int | None = 4
    grace_s: float = 10.0
    signal: SignalFirst = "leader"
    on_win: OnWin = "auto"
    settle_s: float = 60.0
    stall_after_s: float = 900.0
    on_stall: OnStall = "warn"
    on_nan: OnNan = "warn"
    retries: int = 0
    merge: MergePolicy = "ask"
    progress_every_s: float = 60.0
    cost_per_hour: float | None = None
    wait_for_gpu_memory_bytes: int | None = None
    memory_floor_bytes: int | None = None
    runner: str = "local"
    worktrees: str = "../{repo}-worktrees"
    judge: JudgeSpec = field(default_factory=JudgeSpec)
    confirm: ConfirmSpec | None = None
    metrics: MetricsSpec = field(default_factory=MetricsSpec)
    figures: FiguresSpec = field(default_factory=FiguresSpec)
    keep_checkpoints: KeepCheckpoints = "best"
    hopeless_below: float = 0.0
    after_winner: tuple[Argv, ...] = ()
    runners: tuple[RunnerSpec, ...] = ()
    sync: tuple[SyncSpec, ...] = ()
    notify_urls: tuple[str, ...] = ()

    def worker(self, name: str) -> WorkerSpec:
        """The worker of that name; KeyError when there is none."""
        for worker in self.workers:
            if worker.name == name:
                return worker
        raise KeyError(name)

    def epochs_of(self, worker: WorkerSpec) -> int:
        """How many epochs this worker may train."""
        return self.max_epochs if worker.max_epochs is None else worker.max_epochs

    @property
    def is_local(self) -> bool:
        """Whether all workers run on this machine."""
        return all(self.runner_of(worker) == "local" for worker in self.workers)

    def runner_of(self, worker: WorkerSpec) -> str:
        """Where this worker runs: the name of a runner."""
        return self.runner if worker.runner is None else worker.runner

    def retries_of(self, worker: WorkerSpec) -> int:
        """How often this worker is started again after a crash."""
        return self.retries if worker.retries is None else worker.retries

    def metrics_of(self, worker: WorkerSpec) -> MetricsSpec:
        """Where this worker's metrics come from."""
        return self.metrics if worker.metrics is None else worker.metrics
