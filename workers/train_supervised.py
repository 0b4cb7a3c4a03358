"""W1, attention supervision: the network is told where to look.

loss = classification + 0.2 * (attention that transient tokens receive - attention that persistent tokens receive),
in the last layer, with a cap on what can be gained.
"""

from __future__ import annotations

import train
from approaches.attention_supervised import objective
from persistence import options


def main() -> None:
    """Train from the command line, without the approach's branch."""
    train.main(__doc__, asked=objective)


if __name__ == "__main__":
    options.run_script(main)
