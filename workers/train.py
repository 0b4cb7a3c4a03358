"""Train what this branch holds: `looks.py` is what the network sees, `objective.py` what it is asked for.

On the base that is the baseline: crops, and nothing but right classes. What attention does by itself is what the
approaches are to be compared with. An approach is a commit that has one of the two files otherwise.
"""

from __future__ import annotations

import argparse
from typing import Any, Protocol

import looks
import objective
from persistence import options, reporting, stopping, training
from persistence.data import Dataset
from persistence.model import ModelConfig


class Objective(Protocol):
    """What a training minimises: `objective.py`, here or of an approach."""

    APPROACH: str | None

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Its options."""

    def info(self, args: argparse.Namespace) -> dict[str, Any]:
        """What the start record says of them."""

    def objective(self, args: argparse.Namespace) -> training.Objective:
        """The terms of the loss, by name."""


class Looks(Protocol):
    """What the network sees: `looks.py`, here or of an approach."""

    APPROACH: str | None

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Its options."""

    def prepare(
        self, args: argparse.Namespace, run: options.Options
    ) -> tuple[Dataset, ModelConfig, dict[str, Any]]:
        """The data, a network that reads them, and what the start record says of both."""


def main(
    description: str | None = __doc__,
    *,
    asked: Objective = objective,
    seen: Looks = looks,
    most_epochs: int | None = None,
) -> None:
    """Train from the command line."""
    approach = " + ".join(part.APPROACH for part in (asked, seen) if part.APPROACH) or "baseline"
    parser = options.parser(description, name=approach.replace(" ", ""))
    asked.add_options(parser)
    seen.add_options(parser)
    args = parser.parse_args()
    args.max_epochs = min(args.max_epochs, most_epochs or args.max_epochs)
    run = options.Options.of(args)
    reporter = reporting.reporter()
    try:
        with stopping.stopped_at_once():  # until the training itself listens
            data, config, info = seen.prepare(args, run)
            info = {"approach": approach, **asked.info(args), **info}
            training.train(run, data, config, asked.objective(args), reporter=reporter, info=info)
    except stopping.Stopped:
        reporting.say("told to stop before the training began: leaving")


if __name__ == "__main__":
    options.run_script(main)
