"""Figure 8: what a race costs the trainings: their wall time in it, against the same four processes started bare.

Four processes that compute share the cores with the supervisor, which reads a line of each every few milliseconds and
judges every fifth. From the moment when all are let go to the end of the last one.
"""

from __future__ import annotations

import subprocess
import sys

from lab import SCRIPTED, Lab, lab
from marks import DONE_AT, PID, RUNS_AT
from measure import interleave, options, ratio_row, tell

WORKERS = 4
LIMIT = 1.01
RACE = "check_every = 5\nmax_epochs = 100000"


def wall_s(found: Lab) -> float:
    found.marks.go()
    found.marks.wait_all(DONE_AT, timeout_s=120)
    return (max(found.marks.all(DONE_AT)) - min(found.marks.all(RUNS_AT))) / 1e9


def with_wtrace(found: Lab) -> float:
    found.start_race()
    measured = wall_s(found)
    found.wait_until_over()
    return measured


def bare(found: Lab) -> float:
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
    measured = wall_s(found)
    for process in started:
        process.wait(timeout=30)
    return measured


def main() -> None:
    given = options(__doc__, seconds=56)
    with lab("cruncher.py", WORKERS, files=0, race=RACE) as found:
        found.env["BENCH_STEPS"] = str(given.pick(80, 3))
        found.env["WTRACE_FIGURES"] = "off"
        sides = {"wtrace": lambda: with_wtrace(found), "bare": lambda: bare(found)}
        measured = interleave(sides, rounds=given.pick(12, 1), seconds=given.seconds)
    tell(
        [
            ratio_row(
                "8",
                "wall time of 4 trainings on all cores",
                measured,
                ours="wtrace",
                other="bare",
                limit=LIMIT,
                unit="s",
            )
        ]
    )


if __name__ == "__main__":
    main()
