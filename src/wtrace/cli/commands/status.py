"""`wtrace status` and `wtrace watch`: where the race stands, once or live."""

from __future__ import annotations

import json

from wtrace.cli.common import (
    JsonOption,
    RaceOption,
    find_root,
    latest_standing,
    print_left_running,
    require_standing,
)
from wtrace.cli.terminal import viewer
from wtrace.cli.terminal.interrupts import Interrupted, Left
from wtrace.cli.terminal.table import print_table
from wtrace.mirror import brief
from wtrace.race.paths import Layout
from wtrace.race.status_json import status_json
from wtrace.text import plain


def status(as_json: JsonOption = False, race: RaceOption = None) -> None:
    """Where the race stands: in any terminal, while it runs and afterwards, also after a crash or a reboot."""
    root = find_root()
    standing = latest_standing(root, race)
    rows = [] if standing is None else brief.read(str(Layout(root).race(standing.id).folder))
    if as_json:
        print(json.dumps(status_json(standing, brief.to_json(rows)), allow_nan=False))
    elif standing is None:
        print("no race in this repo yet: `wtrace run` starts one")
    else:
        print_table(standing, rows)


def watch() -> None:
    """Show the running race live; leaving it (`q`) leaves the race alone."""
    root = find_root()
    standing = require_standing(root)
    if standing.ended is None and standing.supervisor_alive:
        try:
            standing = viewer.view(root, standing.id, may_stop_race=False)
        except (Interrupted, Left):
            print_left_running(standing.id)
            return
    viewer.print_outcome(root, standing)
    if standing.state == "interrupted":
        print(plain("the race's supervisor is gone; `wtrace run --resume` takes the race up again"))
