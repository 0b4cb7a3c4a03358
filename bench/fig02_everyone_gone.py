"""Figure 2: from the winner's line to the moment when every other process has gone, 64 workers with a child each.

Peer: GNU parallel with `--halt now,success=1`, which takes the winner's exit for its success.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import peers
from lab import ONE_METRIC, Lab, Watch, lab
from marks import CHILD, PID, WROTE_AT
from measure import interleave, options, ratio_row, skipped, tell

SETTLE_S = 0.3
LIMIT = 0.75
PATIENCE_S = 20


def gone_after_s(found: Lab) -> float:
    """Let the winner win; seconds until none of the workers and of their children is left."""
    time.sleep(SETTLE_S)
    watch = Watch([pid for field in (PID, CHILD) for pid in found.marks.all(field)])
    found.marks.go()
    last = watch.wait(PATIENCE_S)
    survivors = watch.alive
    watch.close()
    for pid in survivors:
        os.kill(pid, 9)
    if survivors:
        raise RuntimeError(f"{len(survivors)} processes survived")
    return last - found.marks.all(WROTE_AT)[0] / 1e9


def with_wtrace(found: Lab) -> float:
    found.start_race()
    measured = gone_after_s(found)
    found.wait_until_over()
    return measured


def with_parallel(found: Lab, command: list[str]) -> float:
    found.marks.reset()
    workers = found.marks.workers
    for number in range(workers):
        found.bare_environment(number)
    job = f"WTRACE_WORKER={{}} WTRACE_METRICS=../bare/{{}}/metrics.jsonl exec {sys.executable} script.py"
    words = [*command, f"--jobs={workers}", "--halt=now,success=1", job, ":::", *found.names]
    env = {**found.env, "BENCH_WINS_BY_EXIT": "1"}
    running = subprocess.Popen(
        words, cwd=found.root, env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    found.marks.wait_all(PID)
    measured = gone_after_s(found)
    running.wait(timeout=30)
    return measured


def main() -> None:
    given = options(__doc__)
    workers = given.pick(64, 6)
    what = f"winner to every tree gone, {workers} workers"
    try:
        command = peers.gnu_parallel()
    except peers.UnavailableError as why:
        tell([skipped("2", what, LIMIT, "×", str(why))])
        return
    with lab("waiter.py", workers, files=0, criteria=ONE_METRIC, race="grace = 5") as found:
        found.env["BENCH_CHILD"] = "1"
        sides = {
            "wtrace": lambda: with_wtrace(found),
            "GNU parallel": lambda: with_parallel(found, command),
        }
        measured = interleave(sides, rounds=given.pick(20, 1), seconds=given.seconds)
    tell([ratio_row("2", what, measured, ours="wtrace", other="GNU parallel", limit=LIMIT)])


if __name__ == "__main__":
    main()
