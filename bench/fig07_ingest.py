"""Figure 7: the CPU that 64 workers with 100 lines a second cost, and that of the live view beside it.

Floor: a loop of inotify, msgspec and SQLite that follows the same writers. One second belongs to the race, the next to
the floor: the writers change over together.
"""

from __future__ import annotations

import subprocess
import sys
import time

from lab import SCRIPTED, Lab, console, cpu_s, lab
from marks import TARGET
from measure import interleave, options, ratio_row, tell, value_row
from terminal import Terminal

NOWHERE, RACE, BARE = range(3)
WINDOW_S = 2.0
LIMIT, LIMIT_WITH_VIEW = 1.5, 15


def spent(found: Lab, target: int, pids: list[int], window_s: float) -> float:
    """CPU seconds a second that these processes use while the writers write there."""
    found.marks.set(0, TARGET, target)
    time.sleep(0.2)  # both sides are awake
    before, begun = sum(map(cpu_s, pids)), time.monotonic()
    time.sleep(window_s)
    used, took = sum(map(cpu_s, pids)) - before, time.monotonic() - begun
    found.marks.set(0, TARGET, NOWHERE)
    time.sleep(0.2)
    return used / took


def main() -> None:
    given = options(__doc__, seconds=40)
    workers, window_s = given.pick(64, 4), 0.3 if given.smoke else WINDOW_S
    with lab("writer.py", workers, files=0) as found:
        bare_folder = found.folder / "lines"
        bare_folder.mkdir()
        for number in range(workers):
            (bare_folder / str(number)).touch()
        found.env["BENCH_BARE"] = str(bare_folder)
        supervisor = found.start_race()
        floor = subprocess.Popen(
            [sys.executable, SCRIPTED / "bare_ingest.py", found.folder / "bare.db", bare_folder, str(workers)]
        )
        time.sleep(1)
        sides = {
            "wtrace": lambda: spent(found, RACE, [supervisor], window_s),
            "bare loop": lambda: spent(found, BARE, [floor.pid], window_s),
        }
        measured = interleave(sides, rounds=given.pick(6, 1), seconds=given.seconds / 2)
        view = Terminal([*console(), "watch"], cwd=found.root, env=found.env, columns=160, rows=50)
        time.sleep(2)
        pids = [supervisor, view.running.pid]
        both = interleave(
            {
                "in all": lambda: 100 * spent(found, RACE, pids, window_s),
                "view": lambda: 100 * spent(found, RACE, pids[1:], window_s),
            },
            rounds=given.pick(4, 1),
            seconds=given.seconds / 2,
        )
        view.close()
        floor.kill()
        floor.wait()
        found.stop_race()
    what = f"{workers} workers × 100 lines/s"
    tell(
        [
            ratio_row("7", f"{what}: CPU of the supervisor", measured, ours="wtrace", other="bare loop", limit=LIMIT, unit="s/s"),
            value_row("7", f"{what}: supervisor and live view, of a core", both["in all"], limit=LIMIT_WITH_VIEW, unit="%"),
            value_row("7", f"{what}: live view alone, of a core", both["view"], limit=LIMIT_WITH_VIEW, unit="%"),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
