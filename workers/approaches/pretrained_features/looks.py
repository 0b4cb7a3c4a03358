"""What the network sees of every detection: what a frozen ResNet-18 makes of its crop.

The weights are ImageNet's, or come of self-supervision on crops of clips that no split contains. The features are
computed once and kept in the data cache.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from persistence import backbone, options, reporting, selfsupervision
from persistence.data import Dataset
from persistence.errors import TrainingError
from persistence.model import ModelConfig

APPROACH: str | None = "pretrained-features"

AUTO = "auto"
CROP_PX = 64  # where the weights do not say at which size they were trained


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which weights, and how large a crop they see."""
    add = parser.add_argument_group("the frozen ResNet-18").add_argument
    add(
        "--weights",
        default=AUTO,
        metavar="auto|imagenet|self-supervised|FILE",
        help="imagenet: from torch's cache, else downloaded; self-supervised: from the data cache, else trained there "
        "first; auto: imagenet where it can be had, else self-supervised; or a file with a state dict of torchvision's "
        "resnet18",
    )
    add(
        "--crop-px",
        type=options.positive,
        metavar="N",
        default=None,
        help=f"the 16x16 crops are enlarged to this; None: {CROP_PX}, or what self-supervised weights were trained at "
        f"({selfsupervision.FULL.side_px}, or {selfsupervision.QUICK.side_px} with --quick). Half of it is four times faster",
    )


def prepare(args: argparse.Namespace, run: options.Options) -> tuple[Dataset, ModelConfig, dict[str, Any]]:
    """The data, a network that reads them, and what the start record says of both. Raises TrainingError without
    weights."""
    weights, side_px = choose_weights(args.weights, run)
    spec = backbone.FeatureSpec(weights.source, weights.sha256, args.crop_px or side_px)
    data = backbone.with_features(run.dataset(), spec, ("train", "validation"), run.device)
    info = {
        "weights": weights.description,
        "weights_source": spec.source,
        "weights_sha256": spec.sha256,
        "crop_px": spec.side_px,
    }
    return data, ModelConfig(frozen_features=backbone.N_FEATURES), info


def choose_weights(asked: str, run: options.Options) -> tuple[backbone.Backbone, int]:
    """The weights of `--weights`, and the size of crops that they are for. Raises TrainingError where there are none."""
    if asked == selfsupervision.SELF_SUPERVISED:
        return self_supervised(run)
    if asked != AUTO:
        return backbone.load_backbone(asked), CROP_PX
    try:
        return backbone.load_backbone(backbone.IMAGENET), CROP_PX
    except TrainingError as error:
        reporting.say(f"{error}; taking self-supervised weights in their place")
        return self_supervised(run)


def self_supervised(run: options.Options) -> tuple[backbone.Backbone, int]:
    """The weights of the full or the quick recipe, trained first where the cache does not have them."""
    recipe = selfsupervision.QUICK if run.quick else selfsupervision.FULL
    weights = backbone.load_backbone(str(selfsupervision.weights_file(run.data_cache, recipe, run.device)))
    return replace(weights, description=recipe.description), recipe.side_px
