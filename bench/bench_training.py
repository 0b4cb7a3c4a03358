"""CPU time per clip of each approach, against the plainest correct trainer of the same network.

Both sides take turns, an epoch each, on one thread. Time is the process's own CPU time, so that what else runs on the
machine counts little. The plain trainer makes every clip when it is asked for; a second row for each approach holds the
clips in its memory instead. What ours does once beforehand (clips to disk, frozen features) is told beside it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workers"))
from measure import Row, interleave, options, ratio_row, tell
from plain_trainer import PlainTrainer

from persistence import backbone, data, losses, reporting, training
from persistence import options as training_options
from persistence.data import Clips
from persistence.model import ModelConfig, Output

GAIN = {"attention-supervised": 1.3, "pretrained-features": 3.0, "contrastive": 1.3, "multi-task": 1.3}
OURS, ANEW, IN_MEMORY = "ours", "plain", "plain, clips in memory"
SIDE_PX = 16  # of the crops that the ResNet-18 sees in the quick race


def objective(approach: str) -> training.Objective:
    """What workers/train_*.py minimise."""

    def terms(output: Output, clips: Clips) -> dict[str, torch.Tensor]:
        found = {"classification": losses.classification(output.logit, clips)}
        if approach == "attention-supervised":
            found["attention"] = 0.2 * losses.attention_gap(output.attention[-1], clips, cap=0.24)
        if approach == "contrastive":
            found["contrastive"] = 0.1 * losses.contrastive(output.embedding, clips, margin=0.5)
        if approach == "multi-task":
            found["duration"] = 0.3 * losses.duration(output.duration, clips)
        return found

    return terms


def our_training(approach: str, folder: Path, n_clips: int) -> tuple[training.Run, float]:
    """A training as the scripts set it up, and the CPU seconds that its clips and features took once."""
    began = time.process_time()
    parsed = training_options.parser("", name=approach).parse_args(
        ["--output", str(folder / approach), "--device", "cpu"]
    )
    run_options = training_options.Options.of(parsed)
    dataset = data.open_dataset(
        folder / f"cache of {approach}", {"train": n_clips, "validation": 4, "test": 4}
    )
    config = ModelConfig()
    if approach == "pretrained-features":
        config = ModelConfig(frozen_features=backbone.N_FEATURES)
        weights = backbone.load_backbone(str(random_weights(folder)))
        spec = backbone.FeatureSpec(weights.source, weights.sha256, SIDE_PX)
        dataset = backbone.with_features(dataset, spec, ("train", "validation"), run_options.device)
    once_s = time.process_time() - began
    reporter = reporting.NoReporter()
    run = training.prepare(run_options, dataset, config, objective(approach), reporter=reporter, info={})
    return run, once_s


def random_weights(folder: Path) -> Path:
    """Weights that cost as much as any others."""
    path = folder / "resnet18.pt"
    torch.save(backbone.import_torchvision_models().resnet18(weights=None).state_dict(), path)
    return path


def timed(epoch: Callable[[], None], n_clips: int) -> Callable[[], float]:
    """One epoch; CPU seconds per 1000 clips."""

    def side() -> float:
        began = time.process_time()
        epoch()
        return (time.process_time() - began) / n_clips * 1000

    return side


def rows_of(approach: str, measured: Mapping[str, list[float]], once_s: float, n_clips: int) -> list[Row]:
    """Ours against both forms of the plain trainer."""
    note = f"ours once beforehand: {once_s / n_clips * 1000:.2g} s per 1000 clips"
    what = f"{approach}: CPU seconds per 1000 clips"
    return [
        ratio_row(
            "training", what, measured, ours=OURS, other=other, limit=1 / GAIN[approach], unit="s", note=note
        )
        for other in (ANEW, IN_MEMORY)
    ]


def main() -> None:
    given = options(__doc__, seconds=240)
    n_clips = given.pick(240, 16)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for approach in GAIN:
            run, once_s = our_training(approach, Path(name), n_clips)
            sides = {OURS: timed(partial(training.train_epoch, run), n_clips)}
            for side, in_memory in ((ANEW, False), (IN_MEMORY, True)):
                plain = PlainTrainer(approach, n_clips, SIDE_PX, in_memory=in_memory)
                sides[side] = timed(plain.epoch, n_clips)
            interleave(sides, rounds=1, seconds=60)  # warm up
            measured = interleave(sides, rounds=given.pick(7, 1), seconds=given.seconds / len(GAIN))
            rows += rows_of(approach, measured, once_s, n_clips)
    tell(rows)


if __name__ == "__main__":
    main()
