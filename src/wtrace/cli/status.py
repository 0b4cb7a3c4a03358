"""`wtrace status`: one table of where the race stands."""

from __future__ import annotations

import json

from wtrace.cli.common import JsonOption, RaceOption, find_root, latest_standing
from wtrace.cli.table import print_table
from wtrace.core.contract import status_json


def status(as_json: JsonOption = False, race: RaceOption = None) -> None:
    """Where the race stands: in any terminal, while it runs and afterwards, also after a crash or a reboot."""
    standing = latest_standing(find_root(), race)
    if as_json:
        print(json.dumps(status_json(standing), allow_nan=False))
    elif standing is None:
        print("no race in this repo yet: `wtrace run` starts one")
    else:
        print_table(standing)
