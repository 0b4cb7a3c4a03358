"""The console script. `wtrace status` must answer at once, so it is tried before the command line is built."""

from __future__ import annotations

import sys


def main() -> None:
    """Run wtrace with the arguments of this process, and leave with its exit code."""
    from wtrace.cli.quick import answered

    if answered(sys.argv[1:]):
        return
    from wtrace.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
