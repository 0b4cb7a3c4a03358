"""W3, contrastive: what is of one kind comes to lie together, what is not is pushed apart.

loss = classification + 0.1 * contrastive, over all pairs of tokens of a clip.
"""

from __future__ import annotations

import train
from approaches.contrastive import objective
from persistence import options


def main() -> None:
    """Train from the command line, without the approach's branch."""
    train.main(__doc__, asked=objective)


if __name__ == "__main__":
    options.run_script(main)
