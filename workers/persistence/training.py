"""The one training loop, for every approach. What differs is the data's looks, the network's sizes, the objective.

train(...)             start or resume, then:
  while there is work:   check when one is due -> an epoch of steps -> save
  at a signal:           save, leave
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from persistence import checkpoint, evaluate
from persistence.data import Clips, Dataset
from persistence.errors import TrainingError
from persistence.model import ModelConfig, Output, PersistenceTransformer
from persistence.options import Options, computes_bf16
from persistence.reporting import Pace, Reporter, describe, say
from persistence.stopping import Stopped, StopSignal, goal_is_reached

# What a step minimises: weighted terms by name; the loss is their sum.
Objective = Callable[[Output, Clips], dict[str, Tensor]]

JUDGE_BATCH = 100  # clips; small enough that a signal is noticed soon


@dataclass
class Progress:
    """Where a training stands, between any two steps."""

    epoch: int = 0  # epochs completed
    step: int = 0  # steps done of the epoch in progress
    checked: int = -1  # the last epoch that was judged
    sums: dict[str, Tensor] = field(default_factory=dict)  # of each term, over those steps


@dataclass
class Run:
    """Everything that one training holds on to."""

    options: Options
    data: Dataset
    model: PersistenceTransformer
    optimizer: torch.optim.AdamW
    objective: Objective
    reporter: Reporter
    info: dict[str, Any]
    stop: StopSignal = field(default_factory=StopSignal)
    progress: Progress = field(default_factory=Progress)


def train(
    options: Options,
    data: Dataset,
    config: ModelConfig,
    objective: Objective,
    *,
    reporter: Reporter,
    info: dict[str, Any],
) -> None:
    """Train to the last epoch, a signal, or (by hand) the goal. `info` is told in the start record and kept in
    every checkpoint. Raises TrainingError when the output folder holds another training."""
    run = prepare(options, data, config, objective, reporter=reporter, info=info)
    run.stop.listen()
    machine = {
        "device": options.device.type,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    if reporter.active and options.early_stop_ratio is not None:
        say("--early-stop-ratio is for runs by hand: wtrace decides when this one ends")
    reporter.start(max_epochs=options.max_epochs, info={**run.info, **machine})
    say("training: " + ", ".join(f"{name} {value}" for name, value in {**run.info, **machine}.items()))
    try:
        reason = work(run)
    except Stopped:
        reason = "stopped"
        say("told to stop: saving and leaving")
    save_progress(run)
    reporter.end(reason)
    say(f"ended after epoch {run.progress.epoch}: {reason}")


def work(run: Run) -> str:
    """Check and train in turns; the reason of the end. Raises Stopped at a signal."""
    options, progress = run.options, run.progress
    while True:
        if is_check_due(progress.epoch, options) and progress.checked < progress.epoch:
            judgement = check(run)
            wanted = None if run.reporter.active else options.early_stop_ratio
            if wanted is not None and progress.epoch > 0 and goal_is_reached(judgement, wanted):
                return "early_stop"
        if progress.epoch >= options.max_epochs:
            return "max_epochs"
        train_epoch(run)
        save_progress(run)


def is_check_due(epoch: int, options: Options) -> bool:
    """Before the training, every `check_every` epochs, and at the end."""
    return epoch % options.check_every == 0 or epoch == options.max_epochs


def train_epoch(run: Run) -> None:
    """The rest of one pass over the training clips."""
    options, progress = run.options, run.progress
    began, clips_done = time.perf_counter(), 0
    run.model.train()
    # Another order in every epoch, and the same one again when this epoch is gone on with.
    order_seed = options.seed * 1_000_003 + progress.epoch
    batches = run.data.splits["train"].shuffled(options.batch_size, order_seed, first_batch=progress.step)
    pace, n_steps = Pace(), steps_per_epoch(run)
    for batch in run.stop.watch(batches):
        terms = train_step(run, batch)
        if clips_done and pace.is_due():
            loss = sum(float(term.detach()) for term in terms.values())
            speed = clips_done / (time.perf_counter() - began)
            run.reporter.progress(
                f"epoch {progress.epoch + 1}: step {progress.step}/{n_steps}, loss {loss:.3f}, {speed:.0f} clips/s"
            )
        for name, term in terms.items():
            progress.sums[name] = term.detach() + progress.sums.get(name, 0)
        progress.step += 1
        clips_done += len(batch)
    means = {f"train_{name}": float(total) / progress.step for name, total in progress.sums.items()}
    progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, {}
    speed = clips_done / (time.perf_counter() - began)
    metrics = {"train_loss": sum(means.values()), **means, "clips_per_s": speed}
    run.reporter.epoch(progress.epoch, metrics)
    shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    say(f"epoch {progress.epoch}/{options.max_epochs}  {shown}")


def train_step(run: Run, batch: Clips) -> dict[str, Tensor]:
    """One step of the optimizer on B clips; the objective's terms."""
    options = run.options
    done = run.progress.epoch * steps_per_epoch(run) + run.progress.step
    for group in run.optimizer.param_groups:
        group["lr"] = options.lr * min(1.0, (done + 1) / max(options.warmup_steps, 1))
    with autocast(options):
        output = run.model(batch)
    terms = run.objective(output, batch)
    run.optimizer.zero_grad()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), options.clip_norm)
    run.optimizer.step()
    return terms


def check(run: Run) -> evaluate.Judgement:
    """Judge the validation clips, keep the network that was judged, and tell both."""
    epoch = run.progress.epoch
    judgement = evaluate.judge(run.model, run.stop.watch(run.data.splits["validation"].in_order(JUDGE_BATCH)))
    name = f"checkpoints/epoch_{epoch:03d}.pt"
    checkpoint.save(
        run.options.output / name,
        {"model": checkpoint.model_state(run.model), "epoch": epoch, "info": run.info},
    )
    run.reporter.check(
        epoch,
        metrics=judgement.metrics,
        samples=judgement.samples,
        checkpoint=name,
        objects=judgement.objects,
    )
    run.progress.checked = epoch
    say(f"check at epoch {epoch}: {describe(judgement)}")
    return judgement


# -- start, save, resume ------------------------------------------------------------------------------------------


def prepare(
    options: Options,
    data: Dataset,
    config: ModelConfig,
    objective: Objective,
    *,
    reporter: Reporter,
    info: dict[str, Any],
) -> Run:
    """A fresh training, or the one that `options.output` holds, where it stopped."""
    prepare_torch(options)
    model = PersistenceTransformer(config).to(options.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), options.lr, weight_decay=options.weight_decay, fused=True
    )
    data = data.with_splits({name: data.splits[name].to(options.device) for name in ("train", "validation")})
    info = {**info, **options.recipe, "data": data.checksum, "precision": precision_of(options)}
    run = Run(options, data, model, optimizer, objective, reporter, info)
    resume(run)
    return run


def prepare_torch(options: Options) -> None:
    """The same seed, machine and number of threads give the same numbers."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.use_deterministic_algorithms(True, warn_only=options.device.type != "cpu")
    torch.manual_seed(options.seed)


def save_progress(run: Run) -> None:
    """Write all that it takes to go on from here, bit by bit alike."""
    content = {
        "model": checkpoint.model_state(run.model),
        "optimizer": run.optimizer.state_dict(),
        "rng": checkpoint.rng_state(run.options.device),
        "progress": vars(run.progress),
        "info": run.info,
    }
    checkpoint.save(run.options.output / "checkpoints" / "last.pt", content)


def resume(run: Run) -> None:
    """Go on from `checkpoints/last.pt` if there is one. Raises TrainingError if it belongs to another training."""
    path = run.options.output / "checkpoints" / "last.pt"
    if not path.exists():
        return
    content = checkpoint.load(path, run.options.device)
    differing = sorted(key for key, value in run.info.items() if content.get("info", {}).get(key) != value)
    if differing:
        raise TrainingError(
            f"{path} is of a training with another {', '.join(differing)}; choose another --output"
        )
    run.model.load_state_dict(content["model"]["weights"])
    run.optimizer.load_state_dict(content["optimizer"])
    checkpoint.restore_rng(content["rng"], run.options.device)
    run.progress = Progress(**content["progress"])
    say(f"going on from {path}: epoch {run.progress.epoch}, step {run.progress.step}")


# -- the machine --------------------------------------------------------------------------------------------------


def steps_per_epoch(run: Run) -> int:
    """How many batches one pass over the training clips takes."""
    return -(-len(run.data.splits["train"]) // run.options.batch_size)


def precision_of(options: Options) -> str:
    """ "bf16" or "fp32": as asked, or bf16 where the hardware computes it."""
    if options.precision == "auto":
        return "bf16" if computes_bf16(options.device) else "fp32"
    return options.precision


def autocast(options: Options) -> AbstractContextManager[object]:
    """Matrix products in bf16 where that is wanted; weights, losses and attention stay in fp32."""
    return torch.autocast(options.device.type, torch.bfloat16, enabled=precision_of(options) == "bf16")
