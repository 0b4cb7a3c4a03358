"""W5, the hybrid: attention supervision on top of a frozen, pre-trained ResNet-18 (W1 and W2 in one)."""

from __future__ import annotations

import train
from approaches.attention_supervised import objective
from approaches.pretrained_features import looks
from persistence import options


def main() -> None:
    """Train from the command line, without the branch that merges the two."""
    train.main(__doc__, asked=objective, seen=looks)


if __name__ == "__main__":
    options.run_script(main)
