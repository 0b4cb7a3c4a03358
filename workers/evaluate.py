"""Judge a checkpoint on held-out clips, and write the same check record that its training wrote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from persistence import backbone, cache, checkpoint, data, options, reporting, training
from persistence.errors import TrainingError
from persistence.evaluate import judge


def main() -> None:
    """Evaluate from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", required=True, help="what a training has kept"
    )
    parser.add_argument("--split", choices=data.SPLITS, default="test", help="which clips")
    parser.add_argument(
        "--data-cache",
        type=Path,
        metavar="DIR",
        default=cache.default_folder(),
        help="where generated clips and frozen features are kept",
    )
    options.add_machine_options(parser)
    args = parser.parse_args()
    device = options.set_up_machine(args)
    reporter = reporting.reporter()
    trained = checkpoint.load(args.checkpoint, device)
    model = checkpoint.build_model(trained["model"]).to(device)
    clips = clips_of(trained["info"], args.split, args.data_cache, device).to(device)
    judgement = judge(model, clips.in_order(training.JUDGE_BATCH))
    reporter.check(
        trained["epoch"],
        metrics=judgement.metrics,
        samples=judgement.samples,
        checkpoint=None,
        objects=judgement.objects,
    )
    reporting.say(f"{args.split} clips, epoch {trained['epoch']}: {reporting.describe(judgement)}")


def clips_of(info: dict[str, Any], split: str, data_cache: Path, device: torch.device) -> data.Clips:
    """The split of the data that a checkpoint was trained on, with the looks that its network reads.

    Raises TrainingError when the clips come out otherwise here than where the checkpoint was trained.
    """
    if info["own_data"]:
        dataset = data.open_own(Path(info["own_data"]), data_cache)
    else:
        dataset = data.open_dataset(data_cache, data.QUICK if info["quick"] else data.FULL, info["data_seed"])
    if dataset.checksum != info["data"]:
        raise TrainingError(
            f"the checkpoint was trained on other data ({info['data']}, here {dataset.checksum})"
        )
    if "weights" in info:
        spec = backbone.FeatureSpec(info["weights_source"], info["weights_sha256"], info["crop_px"])
        dataset = backbone.with_features(dataset, spec, (split,), device)
    return dataset.splits[split]


if __name__ == "__main__":
    options.run_script(main)
