"""The baseline: nothing is asked of the network but right classes. A race's control, which can never win.

What attention does by itself, without any of the approaches, is what they are to be compared with.
"""

from __future__ import annotations

from torch import Tensor

from persistence import losses, options, reporting, training
from persistence.data import Clips
from persistence.model import ModelConfig, Output


def main() -> None:
    """Train from the command line."""
    run = options.Options.of(options.parser(__doc__, name="baseline").parse_args())
    reporter = reporting.reporter()
    training.train(
        run, run.dataset(), ModelConfig(), objective, reporter=reporter, info={"approach": "baseline"}
    )


def objective(output: Output, clips: Clips) -> dict[str, Tensor]:
    """Right classes."""
    return {"classification": losses.classification(output.logit, clips)}


if __name__ == "__main__":
    options.run_script(main)
