"""What a training minimises. On the base: right classes, and nothing else is asked of the network."""

from __future__ import annotations

import argparse
from typing import Any

from torch import Tensor

from persistence import losses, training
from persistence.data import Clips
from persistence.model import Output

APPROACH: str | None = None  # the base's own


def add_options(parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def info(args: argparse.Namespace) -> dict[str, Any]:  # noqa: ARG001
    """What the start record says of the options."""
    return {}


def objective(args: argparse.Namespace) -> training.Objective:  # noqa: ARG001
    """The terms of the loss, by name."""

    def terms(output: Output, clips: Clips) -> dict[str, Tensor]:
        return {
            "classification": losses.classification(output.logit, clips),
        }

    return terms
