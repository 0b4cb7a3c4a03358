"""`wtrace status`: one table of where the race stands."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING

from wtrace.cli.common import JsonOption, RaceOption, find_root, latest_standing
from wtrace.core.standing import worker_json

if TYPE_CHECKING:
    from typing import Any

    from wtrace.core.standing import Standing


def status(as_json: JsonOption = False, race: RaceOption = None) -> None:
    """Where the race stands: in any terminal, while it runs and afterwards, also after a crash or a reboot."""
    standing = latest_standing(find_root(), race)
    if as_json:
        print(json.dumps(status_json(standing), ensure_ascii=True, allow_nan=False))
    elif standing is None:
        print("no race in this repo yet: `wtrace run` starts one")
    else:
        print_table(standing)


def print_table(standing: Standing) -> None:
    """The table on standard output, as wide as the terminal."""
    from wtrace.cli.table import status_lines

    width = shutil.get_terminal_size((100, 24)).columns
    sys.stdout.write("".join(f"{line}\n" for line in status_lines(standing, width, time.time())))


def status_json(standing: Standing | None) -> dict[str, Any]:
    """`wtrace status --json`, schema 1. Readers ignore keys that they do not know."""
    if standing is None:
        return {"schema": 1, "race": None, "workers": []}
    return {
        "schema": 1,
        "race": {
            "id": standing.id,
            "name": standing.name,
            "state": standing.state,
            "winner": standing.winner,
            "winner_epoch": standing.winner_epoch,
            "confirmed": standing.confirmed,
            "started": iso(standing.started),
            "decided": iso(standing.decided),
            "ended": iso(standing.ended),
        },
        "supervisor": {"pid": standing.supervisor_pid, "alive": standing.supervisor_alive},
        "sync": [],
        "workers": [worker_json(worker) for worker in standing.workers],
    }


def iso(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    if at is None:
        return None
    import datetime

    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds")
