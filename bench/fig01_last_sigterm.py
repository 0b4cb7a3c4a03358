"""Figure 1: from the winning line to the moment when the last loser has its SIGTERM, 64 workers.

Floor: a loop of inotify and killpg that reads no metrics and judges nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping

from lab import FIRST_RACE, ONE_METRIC, SCRIPTED, Lab, lab
from marks import PID, TERM_AT, WROTE_AT
from measure import interleave, options, ratio_row, tell

SETTLE_S = 0.3
ROWS = 400
TERMS = "five criteria on 400 samples", "one plain metric"


def latency_s(found: Lab) -> float:
    time.sleep(SETTLE_S)  # on both sides the starting of the workers is over
    found.marks.go()
    found.marks.wait_all(TERM_AT, but=[0])
    return (max(found.marks.all(TERM_AT)[1:]) - found.marks.all(WROTE_AT)[0]) / 1e9


def with_wtrace(found: Lab, criteria: Mapping[str, str], rows: int) -> float:
    found.write_config(criteria, race="grace = 2")
    found.env["BENCH_ROWS"] = str(rows)
    found.start_race()
    measured = latency_s(found)
    found.wait_until_over()
    return measured


def bare(found: Lab) -> float:
    found.marks.reset()
    found.env["BENCH_ROWS"] = str(ROWS)
    killer = subprocess.Popen(
        [sys.executable, SCRIPTED / "bare_killer.py", found.root / "script.py", str(found.marks.workers)],
        stdin=subprocess.PIPE, cwd=found.root, text=True,
    )  # fmt: skip
    assert killer.stdin is not None
    with killer.stdin as told:
        told.writelines(
            json.dumps(found.bare_environment(number)) + "\n" for number in range(found.marks.workers)
        )
    found.marks.wait_all(PID)
    measured = latency_s(found)
    killer.wait(timeout=30)
    return measured


def main() -> None:
    given = options(__doc__)
    workers = given.pick(64, 6)
    with lab("waiter.py", workers, files=0) as found:
        found.env["BENCH_SAVES_S"] = "0.5"
        sides = {
            "wtrace": lambda: with_wtrace(found, FIRST_RACE, ROWS),
            "wtrace, plain metric": lambda: with_wtrace(found, ONE_METRIC, 0),
            "bare loop": lambda: bare(found),
        }
        measured = interleave(sides, rounds=given.pick(30, 1), seconds=given.seconds)
    what = f"winning line to the last loser's SIGTERM, {workers} workers"
    tell(
        [
            ratio_row("1", f"{what}, {terms}", measured, ours=ours, other="bare loop", limit=2)
            for terms, ours in zip(TERMS, sides, strict=False)
        ]
    )


if __name__ == "__main__":
    main()
