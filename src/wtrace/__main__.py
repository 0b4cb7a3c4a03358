"""The console script. `wtrace status` must answer at once, so it is tried before the command line is built."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run wtrace with the arguments of this process, and leave with its exit code."""
    open_what_was_closed()
    from wtrace.cli.fast_status import answer

    code = answer(sys.argv[1:])
    if code is not None:
        os._exit(code)  # nothing is left to be cleaned up, and cleaning up takes as long as answering
    from wtrace.cli.app import run

    sys.exit(run(sys.argv[1:]))


def open_what_was_closed() -> None:
    """Standard streams that whoever started us has closed lead nowhere; else a file of ours would take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: PTH123, SIM115 (a descriptor)


if __name__ == "__main__":
    main()
