"""W2, pre-trained features: a frozen ResNet-18 sees the crops, and only what follows it is trained.

At most 30 epochs: a linear map on frozen features is learned by then, and more only overfits.
"""

from __future__ import annotations

import train
from approaches.pretrained_features import looks
from persistence import options

MAX_EPOCHS = 30


def main() -> None:
    """Train from the command line, without the approach's branch."""
    train.main(__doc__, seen=looks, most_epochs=MAX_EPOCHS)


if __name__ == "__main__":
    options.run_script(main)
