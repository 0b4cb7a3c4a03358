"""What a training minimises: wrong classes, and kinds that do not lie apart."""

from __future__ import annotations

import argparse
from typing import Any

from torch import Tensor

from persistence import losses, training
from persistence.data import Clips
from persistence.model import Output

APPROACH: str | None = "contrastive"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The weight of the contrastive term, and its margin."""
    add = parser.add_argument_group("the contrastive loss").add_argument
    add(
        "--contrastive-weight",
        type=float,
        metavar="X",
        default=0.1,
        help="of the contrastive term in the loss",
    )
    add(
        "--margin",
        type=float,
        metavar="X",
        default=0.5,
        help="the cosine below which tokens of two kinds are apart enough",
    )


def info(args: argparse.Namespace) -> dict[str, Any]:
    """What the start record says of the options."""
    return {"contrastive_weight": args.contrastive_weight, "margin": args.margin}


def objective(args: argparse.Namespace) -> training.Objective:
    """The terms of the loss, by name."""

    def terms(output: Output, clips: Clips) -> dict[str, Tensor]:
        return {
            "classification": losses.classification(output.logit, clips),
            "contrastive": args.contrastive_weight * losses.contrastive(output.embedding, clips, args.margin),
        }

    return terms
