"""W1, attention supervision: the network is told where to look.

loss = classification + 0.2 * (attention that transient tokens receive - attention that persistent tokens receive),
in the last layer, with a cap on what can be gained.
"""

from __future__ import annotations

import argparse
from typing import Any

from torch import Tensor

from persistence import losses, options, reporting, training
from persistence.data import Clips
from persistence.model import ModelConfig, Output


def main() -> None:
    """Train from the command line."""
    parser = options.parser(__doc__, name="attention-supervised")
    add_attention_options(parser)
    args = parser.parse_args()
    run = options.Options.of(args)
    reporter = reporting.reporter()
    info = {"approach": "attention-supervised", **attention_info(args)}
    training.train(
        run, run.dataset(), ModelConfig(), attention_supervision(args), reporter=reporter, info=info
    )


def add_attention_options(parser: argparse.ArgumentParser) -> None:
    """The options of this approach."""
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


def attention_info(args: argparse.Namespace) -> dict[str, Any]:
    """What the start record says of these options."""
    return {"attention_weight": args.attention_weight, "attention_cap": args.attention_cap}


def attention_supervision(args: argparse.Namespace) -> training.Objective:
    """Right classes, and attention on what stays."""

    def objective(output: Output, clips: Clips) -> dict[str, Tensor]:
        gap = losses.attention_gap(output.attention[-1], clips, args.attention_cap)
        return {
            "classification": losses.classification(output.logit, clips),
            "attention": args.attention_weight * gap,
        }

    return objective


if __name__ == "__main__":
    options.run_script(main)
