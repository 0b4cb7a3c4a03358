"""W4, multi-task: the network also says for how long each object is seen.

loss = classification + 0.3 * mean squared error of the duration.
"""

from __future__ import annotations

from torch import Tensor

from persistence import losses, options, reporting, training
from persistence.data import Clips
from persistence.model import ModelConfig, Output


def main() -> None:
    """Train from the command line."""
    parser = options.parser(__doc__, name="multi-task")
    add = parser.add_argument_group("the second task").add_argument
    add("--duration-weight", type=float, metavar="X", default=0.3, help="of the duration term in the loss")
    args = parser.parse_args()

    def objective(output: Output, clips: Clips) -> dict[str, Tensor]:
        return {
            "classification": losses.classification(output.logit, clips),
            "duration": args.duration_weight * losses.duration(output.duration, clips),
        }

    run = options.Options.of(args)
    reporter = reporting.reporter()
    info = {"approach": "multi-task", "duration_weight": args.duration_weight}
    training.train(run, run.dataset(), ModelConfig(), objective, reporter=reporter, info=info)


if __name__ == "__main__":
    options.run_script(main)
