"""What the network sees of every detection. On the base: its crop, which it learns to read by itself."""

from __future__ import annotations

import argparse
from typing import Any

from persistence import options
from persistence.data import Dataset
from persistence.model import ModelConfig

APPROACH: str | None = None  # the base's own


def add_options(parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def prepare(
    args: argparse.Namespace,  # noqa: ARG001
    run: options.Options,
) -> tuple[Dataset, ModelConfig, dict[str, Any]]:
    """The data, a network that reads them, and what the start record says of both."""
    return run.dataset(), ModelConfig(), {}
