"""W2, pre-trained features: a frozen ResNet-18 sees the crops, and only what follows it is trained.

The weights are ImageNet's, or come of self-supervision on crops of clips that no split contains. The features are
computed once and kept in the data cache. At most 30 epochs: a linear map on frozen features is learned by then, and
more only overfits.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from torch import Tensor

from persistence import backbone, losses, options, reporting, selfsupervision, training
from persistence.data import Clips, Dataset
from persistence.errors import TrainingError
from persistence.model import ModelConfig, Output

MAX_EPOCHS = 30
AUTO = "auto"
CROP_PX = 64  # where the weights do not say at which size they were trained


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


def frozen_features(args: argparse.Namespace, run: options.Options) -> tuple[Dataset, dict[str, Any]]:
    """The data with features for looks, and what the start record says of them. Raises TrainingError without weights."""
    weights, side_px = choose_weights(args.weights, run)
    spec = backbone.FeatureSpec(weights.source, weights.sha256, args.crop_px or side_px)
    data = backbone.with_features(run.dataset(), spec, ("train", "validation"), run.device)
    info = {
        "weights": weights.description,
        "weights_source": spec.source,
        "weights_sha256": spec.sha256,
        "crop_px": spec.side_px,
    }
    return data, info


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


def classification_only(output: Output, clips: Clips) -> dict[str, Tensor]:
    """The features are the approach; nothing but right classes is asked for."""
    return {"classification": losses.classification(output.logit, clips)}


if __name__ == "__main__":
    options.run_script(main)
