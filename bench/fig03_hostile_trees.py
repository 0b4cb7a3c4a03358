"""Figure 3: trees that do not want to leave (setsid, double fork, empty environment, SIGTERM ignored) are gone in time.

No peer is measured: GNU parallel leaves such processes alive, and so does killpg.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from lab import Watch, lab
from marks import wait_for
from measure import Row, options, tell, worst_row

GRACE_S = 1
KINDS = 3  # processes of each tree
PATIENCE_S = 20
LIMITS = {16: 0.2, 256: 2.0}
LINE = '{"event": "check", "epoch": 5, "metrics": {"score": 0.95}}\n'


def pids_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def one_race(workers: int) -> tuple[float, int]:
    """Seconds from the winning line until nobody was left, and how many survived."""
    command = ("sh", "script.sh", "../../pids", "../../go")
    with lab("hostile.sh", workers, files=0, command=command, race=f"grace = {GRACE_S}") as found:
        pids, go = found.folder / "pids", found.folder / "go"
        found.wtrace("run", "--detach")
        wait_for(lambda: len(pids_in(pids)) == KINDS * workers, "all trees to be complete", 120)
        wait_for(lambda: found.count_running() == workers, "the supervisor to have seen them all")
        time.sleep(0.5)
        watch = Watch(pids_in(pids))
        draft = go.with_suffix(".draft")
        draft.write_text(LINE)
        begun = time.monotonic()
        draft.rename(go)
        gone = watch.wait(GRACE_S + PATIENCE_S) - begun
        survivors = watch.alive
        watch.close()
        for pid in survivors:
            os.kill(pid, 9)
        found.wait_until_over()
    return gone, len(survivors)


def rows(workers: int, limit_s: float, rounds: int, seconds: float) -> list[Row]:
    deadline = time.monotonic() + seconds
    measured = [one_race(workers)]
    while len(measured) < rounds and time.monotonic() < deadline:
        measured.append(one_race(workers))
    survivors = [float(left) for _, left in measured]
    over = [gone - GRACE_S for gone, _ in measured]
    trees = f"{workers} hostile trees"
    return [
        worst_row("3", f"{trees}: survivors", survivors, limit=0, unit=""),
        worst_row("3", f"{trees}: gone after the grace period by", over, limit=limit_s, unit="s"),
    ]


def main() -> None:
    given = options(__doc__, seconds=12)
    if given.smoke:
        tell(rows(4, LIMITS[16], 1, given.seconds))
        return
    tell([row for workers, limit_s in LIMITS.items() for row in rows(workers, limit_s, 3, given.seconds)])


if __name__ == "__main__":
    main()
