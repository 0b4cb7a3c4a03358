"""Figure 8: what a race costs the trainings: their wall time in it, against the same four processes started bare.

Four processes that compute share the cores with the supervisor, which reads their lines and judges every fifth. They do
the same work in steps of two sizes: as trainings do, which report now and then, and as none does. From the moment when
all are let go, the starting of both sides being over, to the end of the last one. Wall time varies by more than a
hundredth; so the supervisor's CPU time is told too, as a share of what all cores had to give.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

from lab import SCRIPTED, Lab, cpu_s, lab
from marks import DONE_AT, PID, RUNS_AT
from measure import interleave, options, ratio_row, tell, value_row

WORKERS = 4
WORK = 14_000_000  # additions, of each
SELDOM, OFTEN = 10, 100  # steps, with a line each
LIMIT = 1.01
SETTLE_S = 0.5  # what the supervisor imports once is no cost to a training of hours
RACE = "check_every = 5\nmax_epochs = 100000"


def wall_s(found: Lab) -> float:
    found.marks.go()
    found.marks.wait_all(DONE_AT, timeout_s=120)
    return (max(found.marks.all(DONE_AT)) - min(found.marks.all(RUNS_AT))) / 1e9


class Races:
    """Races with steps of one size; besides the wall time, the supervisor's share of the cores' time is kept."""

    def __init__(self, found: Lab, steps: int, work: int) -> None:
        self.found = found
        self.env = {"BENCH_STEPS": str(steps), "BENCH_WORK": str(work // steps)}
        self.shares: list[float] = []

    def with_wtrace(self) -> float:
        self.found.env.update(self.env)
        supervisor = self.found.start_race()
        time.sleep(SETTLE_S)
        before, begun = cpu_s(supervisor), time.monotonic()
        measured = wall_s(self.found)
        used, took = cpu_s(supervisor) - before, time.monotonic() - begun
        self.shares.append(100 * used / took / (os.cpu_count() or 1))
        self.found.wait_until_over()
        return measured


def bare(found: Lab, env: Mapping[str, str]) -> float:
    found.env.update(env)
    found.marks.reset()
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPTED / "cruncher.py")],
            cwd=found.root,
            env=found.bare_environment(number),
        )
        for number in range(WORKERS)
    ]
    found.marks.wait_all(PID)
    time.sleep(SETTLE_S)
    measured = wall_s(found)
    for process in started:
        process.wait(timeout=30)
    return measured


def main() -> None:
    given = options(__doc__, seconds=54)
    work = given.pick(WORK, WORK // 20)
    with lab("cruncher.py", WORKERS, files=0, race=RACE) as found:
        found.env["WTRACE_FIGURES"] = "off"
        seldom, often = (Races(found, steps, work) for steps in (SELDOM, OFTEN))
        sides = {
            "wtrace": seldom.with_wtrace,
            "wtrace, often": often.with_wtrace,
            "bare": lambda: bare(found, seldom.env),
        }
        measured = interleave(sides, rounds=given.pick(12, 1), seconds=given.seconds)
    took = statistics.median(measured["bare"])
    rows = []
    for ours, races, steps in (("wtrace", seldom, SELDOM), ("wtrace, often", often, OFTEN)):
        rate = f"{WORKERS} trainings on all cores, {steps / took:.0f} lines/s each"
        rows += [
            ratio_row("8", f"{rate}: wall time", measured, ours=ours, other="bare", limit=LIMIT, unit="s"),
            value_row("8", f"{rate}: the supervisor's share of the cores", races.shares, limit=1, unit="%"),
        ]
    tell(rows)


if __name__ == "__main__":
    main()
