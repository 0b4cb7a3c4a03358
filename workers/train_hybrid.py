"""W5, the hybrid: attention supervision on top of a frozen, pre-trained ResNet-18 (W1 and W2 in one)."""

from __future__ import annotations

from persistence import backbone, options, reporting, training
from persistence.model import ModelConfig
from train_pretrained import add_backbone_options, frozen_features
from train_supervised import add_attention_options, attention_info, attention_supervision


def main() -> None:
    """Train from the command line."""
    parser = options.parser(__doc__, name="hybrid")
    add_attention_options(parser)
    add_backbone_options(parser)
    args = parser.parse_args()
    run = options.Options.of(args)
    reporter = reporting.reporter()
    data, features = frozen_features(args, run)
    info = {"approach": "hybrid", **attention_info(args), **features}
    config = ModelConfig(frozen_features=backbone.N_FEATURES)
    training.train(run, data, config, attention_supervision(args), reporter=reporter, info=info)


if __name__ == "__main__":
    options.run_script(main)
