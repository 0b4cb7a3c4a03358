"""W4, multi-task: the network also says for how long each object is seen.

loss = classification + 0.3 * mean squared error of the duration.
"""

from __future__ import annotations

import train
from approaches.multi_task import objective
from persistence import options


def main() -> None:
    """Train from the command line, without the approach's branch."""
    train.main(__doc__, asked=objective)


if __name__ == "__main__":
    options.run_script(main)
