"""What a training minimises: wrong classes, and a wrong idea of for how long an object is seen."""

from __future__ import annotations

import argparse
from typing import Any

from torch import Tensor

from persistence import losses, training
from persistence.data import Clips
from persistence.model import Output

APPROACH: str | None = "multi-task"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The weight of the second task."""
    add = parser.add_argument_group("the second task").add_argument
    add("--duration-weight", type=float, metavar="X", default=0.3, help="of the duration term in the loss")


def info(args: argparse.Namespace) -> dict[str, Any]:
    """What the start record says of the options."""
    return {"duration_weight": args.duration_weight}


def objective(args: argparse.Namespace) -> training.Objective:
    """The terms of the loss, by name."""

    def terms(output: Output, clips: Clips) -> dict[str, Tensor]:
        return {
            "classification": losses.classification(output.logit, clips),
            "duration": args.duration_weight * losses.duration(output.duration, clips),
        }

    return terms
