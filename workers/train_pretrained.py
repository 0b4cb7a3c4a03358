"""W2, pre-trained features: a frozen ResNet-18 sees the crops, and only what follows it is trained.

The features are computed once and kept in the data cache. At most 30 epochs: a linear map on frozen features is
learned by then, and more only overfits.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from torch import Tensor

from persistence import backbone, losses, options, reporting, training
from persistence.data import Clips, Dataset
from persistence.model import ModelConfig, Output

MAX_EPOCHS = 30


def main() -> None:
    """Train from the command line."""
    parser = options.parser(__doc__, name="pretrained-features")
    add_backbone_options(parser)
    args = parser.parse_args()
    run = options.Options.of(args)
    run = replace(run, max_epochs=min(run.max_epochs, MAX_EPOCHS))
    reporter = reporting.reporter()
    data, features = frozen_features(args, run)
    info = {"approach": "pretrained-features", **features}
    config = ModelConfig(frozen_features=backbone.N_FEATURES)
    training.train(run, data, config, classification_only, reporter=reporter, info=info)


def add_backbone_options(parser: argparse.ArgumentParser) -> None:
    """The options of this approach."""
    add = parser.add_argument_group("the frozen ResNet-18").add_argument
    add(
        "--weights",
        default=backbone.IMAGENET,
        metavar="imagenet|FILE",
        help="imagenet: from torch's cache, else downloaded; or a file with a state dict of torchvision's resnet18",
    )
    add(
        "--crop-px",
        type=options.positive,
        metavar="N",
        default=64,
        help="the 16x16 crops are enlarged to this; half of it is four times faster",
    )


def frozen_features(args: argparse.Namespace, run: options.Options) -> tuple[Dataset, dict[str, Any]]:
    """The data with features for looks, and what the start record says of them. Raises TrainingError without weights."""
    weights = backbone.load_backbone(args.weights)
    spec = backbone.FeatureSpec(weights.source, weights.sha256, args.crop_px)
    data = backbone.with_features(run.dataset(), spec, ("train", "validation"), run.device)
    return data, {"weights": spec.source, "weights_sha256": spec.sha256, "crop_px": spec.side_px}


def classification_only(output: Output, clips: Clips) -> dict[str, Tensor]:
    """The features are the approach; nothing but right classes is asked for."""
    return {"classification": losses.classification(output.logit, clips)}


if __name__ == "__main__":
    options.run_script(main)
