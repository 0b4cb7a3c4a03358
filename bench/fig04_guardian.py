"""Figure 4, the guardian's part: what the shim beside each worker costs in memory and at the start.

64 workers are started through it, and bare: each by a `python -I -S` that starts the same program and waits for it.
One worker at a time tells what the way through the shim takes longer than that of its own process started directly.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

from lab import Lab, lab, memory_bytes
from marks import PID, RUNS_AT
from measure import interleave, options, ratio_row, tell, value_row

from wtrace.runners import attempt_folder
from wtrace.runners.base import Launch
from wtrace.runners.local import LocalRunner

WORKERS = 64
LIMIT_MB, LIMIT_MS, LIMIT_OF_FLOOR = 6, 25, 1.5
WAITS = "import os, sys; os.waitpid(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)"
PROGRAM = (sys.executable, "script.py")


class Starts:
    """The same workers, started in several ways."""

    def __init__(self, found: Lab) -> None:
        self.found = found
        self.memory_mb: list[float] = []

    def guarded(self, count: int) -> float:
        """Seconds until so many run that were started through the shim."""
        runner, folder = LocalRunner(), self.found.folder / "attempts"
        launches = [
            Launch(folder / str(each), PROGRAM, self.found.root, self.found.bare_environment(each), 0.5)
            for each in range(count)
        ]
        for launch in launches:
            launch.folder.mkdir(parents=True)
        begun = self._begin()
        for launch in launches:
            runner.start(launch)
        took = self._all_run(begun, count)
        self.memory_mb += [
            memory_bytes(claim.shim.pid, "Private") / 1e6
            for launch in launches[:4]
            if (claim := attempt_folder.read_claim(launch.folder)) is not None
        ]
        runner.stop_all([launch.folder for launch in launches])
        while not all(runner.exited(launch.folder) for launch in launches):
            time.sleep(0.005)
        runner.lost()
        runner.close()
        shutil.rmtree(folder)
        return took

    def waited_for(self, count: int) -> float:
        """Through a `python -I -S` that does nothing but start and wait."""
        return self._bare([sys.executable, "-I", "-S", "-c", WAITS, *PROGRAM], count)

    def direct(self, count: int) -> float:
        """Without anything between."""
        return self._bare(list(PROGRAM), count)

    def _bare(self, command: list[str], count: int) -> float:
        environments = [self.found.bare_environment(each) for each in range(count)]
        begun = self._begin()
        started = [
            subprocess.Popen(command, cwd=self.found.root, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
            for env in environments
        ]  # fmt: skip
        took = self._all_run(begun, count)
        for pid in self.found.marks.all(PID)[:count]:
            os.kill(pid, signal.SIGKILL)
        for process in started:
            process.wait()
        return took

    def _begin(self) -> int:
        self.found.marks.reset()
        return time.monotonic_ns()

    def _all_run(self, begun: int, count: int) -> float:
        self.found.marks.wait_all(PID, but=range(count, self.found.marks.workers))
        return (max(self.found.marks.all(RUNS_AT)[:count]) - begun) / 1e9


def main() -> None:
    given = options(__doc__, seconds=40)
    count = given.pick(WORKERS, 4)
    with lab("starter.py", count, files=0) as found:
        starts = Starts(found)
        many = interleave(
            {"wtrace": lambda: starts.guarded(count), "bare": lambda: starts.waited_for(count)},
            rounds=given.pick(12, 1),
            seconds=given.seconds / 2,
        )
        one = interleave(
            {"shim": lambda: starts.guarded(1), "direct": lambda: starts.direct(1)},
            rounds=given.pick(60, 2),
            seconds=given.seconds / 2,
        )
    later_ms = [1000 * (shim - direct) for shim, direct in zip(one["shim"], one["direct"], strict=True)]
    what = f"start of {count} workers, over Popen through `python -I -S`"
    tell(
        [
            ratio_row("4", what, many, ours="wtrace", other="bare", limit=LIMIT_OF_FLOOR),
            value_row("4", "a worker runs through its guardian later than directly by", later_ms, limit=LIMIT_MS, unit="ms"),
            value_row("4", "unique memory of a guardian", starts.memory_mb, limit=LIMIT_MB, unit="MB"),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
