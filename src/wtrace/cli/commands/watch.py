"""`wtrace watch`: the live view of a race that runs already."""

from __future__ import annotations

from wtrace.cli.common import find_root, print_left_running, require_standing
from wtrace.cli.terminal import viewer
from wtrace.cli.terminal.interrupts import Interrupted
from wtrace.text import plain


def watch() -> None:
    """Show the running race live; leaving it (Ctrl-C) leaves the race alone."""
    root = find_root()
    standing = require_standing(root)
    if standing.ended is None and standing.supervisor_alive:
        try:
            standing = viewer.view(root, standing.id, keys="Ctrl-C: leave; the race goes on")
        except Interrupted:
            print_left_running(standing.id)
            return
    viewer.print_outcome(root, standing)
    if standing.state == "interrupted":
        print(plain("the race's supervisor is gone; `wtrace run --resume` takes the race up again"))
