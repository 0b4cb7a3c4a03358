"""W3, contrastive: what is of one kind comes to lie together, what is not is pushed apart.

loss = classification + 0.1 * contrastive, over all pairs of tokens of a clip.
"""

from __future__ import annotations

from torch import Tensor

from persistence import losses, options, reporting, training
from persistence.data import Clips
from persistence.model import ModelConfig, Output


def main() -> None:
    """Train from the command line."""
    parser = options.parser(__doc__, name="contrastive")
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
    args = parser.parse_args()

    def objective(output: Output, clips: Clips) -> dict[str, Tensor]:
        return {
            "classification": losses.classification(output.logit, clips),
            "contrastive": args.contrastive_weight * losses.contrastive(output.embedding, clips, args.margin),
        }

    run = options.Options.of(args)
    reporter = reporting.reporter()
    info = {"approach": "contrastive", "contrastive_weight": args.contrastive_weight, "margin": args.margin}
    training.train(run, run.dataset(), ModelConfig(), objective, reporter=reporter, info=info)


if __name__ == "__main__":
    options.run_script(main)
