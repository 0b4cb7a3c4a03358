"""What a training minimises: wrong classes, and the attention that goes to what does not stay."""

from __future__ import annotations

import argparse
from typing import Any

from torch import Tensor

from persistence import losses, training
from persistence.data import Clips
from persistence.model import Output

APPROACH: str | None = "attention-supervised"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The weight of the attention term, and the gap that is enough."""
    add = parser.add_argument_group("attention supervision").add_argument
    add("--attention-weight", type=float, metavar="X", default=0.2, help="of the attention term in the loss")
    add(
        "--attention-cap",
        type=float,
        metavar="X",
        default=0.24,
        help="the gap that is enough, in raw attention over all heads: in a clip of 25 tokens with 4 heads each token "
        "gets 0.16 when all get the same",
    )


def info(args: argparse.Namespace) -> dict[str, Any]:
    """What the start record says of the options."""
    return {"attention_weight": args.attention_weight, "attention_cap": args.attention_cap}


def objective(args: argparse.Namespace) -> training.Objective:
    """The terms of the loss, by name."""

    def terms(output: Output, clips: Clips) -> dict[str, Tensor]:
        gap = losses.attention_gap(output.attention[-1], clips, args.attention_cap)
        return {
            "classification": losses.classification(output.logit, clips),
            "attention": args.attention_weight * gap,
        }

    return terms
