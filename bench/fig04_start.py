"""Figure 4: from the command to four running workers.

Floor: a script that calls `git worktree add` and Popen four times. Peer: Ray Tune, from its script to four trials.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import peers
from lab import SCRIPTED, Lab, console, lab
from marks import PID, RUNS_AT, wait_for
from measure import Options, interleave, options, ratio_row, skipped, tell

WHAT = "`wtrace run` to 4 running workers"
WORKERS = 4
LIMIT_OF_FLOOR, LIMIT_OF_RAY = 2.5, 1 / 20


def until_all_run_s(found: Lab, command: list[str], env: dict[str, str] | None = None) -> float:
    begun = time.monotonic_ns()
    started = subprocess.Popen(
        command, cwd=found.root, env=env or found.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: all(found.marks.all(RUNS_AT)) or started.poll(), "the workers to run", 120)
    measured = (max(found.marks.all(RUNS_AT)) - begun) / 1e9
    if command[0] == sys.executable or "run" in command:
        started.wait(timeout=60)
    else:
        found.marks.go()
        started.wait(timeout=60)
    if not all(found.marks.all(RUNS_AT)):
        raise RuntimeError(f"{' '.join(command)} started nothing (exit {started.returncode})")
    return measured


def with_wtrace(options_: tuple[str, ...] = ()) -> float:
    with lab("starter.py", WORKERS) as found:
        measured = until_all_run_s(found, [*console(), "run", "--detach", *options_])
        found.stop_race()
    return measured


def bare() -> float:
    with lab("starter.py", WORKERS) as found:
        places = str(found.folder / "places")
        measured = until_all_run_s(
            found, [sys.executable, str(SCRIPTED / "bare_start.py"), places, *found.names]
        )
        wait_for(lambda: all(found.marks.all(PID)), "their pids")
        for pid in found.marks.all(PID):
            os.kill(pid, signal.SIGKILL)
    return measured


def with_ray(python: Path) -> float:
    with lab("starter.py", WORKERS) as found:
        env = {
            **found.env,
            "RAY_TMPDIR": str(found.folder),
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        }
        env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
        return until_all_run_s(found, [str(python), str(SCRIPTED / "ray_start.py"), str(WORKERS)], env)


def ray_python(given: Options) -> Path:
    if given.smoke:
        raise peers.UnavailableError("not in a smoke run")
    return peers.python_with("ray", peers.RAY)


def main() -> None:
    given = options(__doc__)
    sides = {"wtrace": with_wtrace, "bare": bare}
    measured = interleave(sides, rounds=given.pick(12, 1), seconds=given.seconds / 2)
    found = [ratio_row("4", f"{WHAT}, over bare git and Popen", measured, ours="wtrace", other="bare", limit=LIMIT_OF_FLOOR)]  # fmt: skip
    try:
        python = ray_python(given)
        peer = interleave(
            {"wtrace": with_wtrace, "Ray Tune": lambda: with_ray(python)}, rounds=3, seconds=given.seconds / 2
        )
        found.append(ratio_row("4", f"{WHAT}, over Ray Tune {peers.version(python, 'ray')}", peer, ours="wtrace", other="Ray Tune", limit=LIMIT_OF_RAY))  # fmt: skip
    except peers.UnavailableError as why:
        found.append(skipped("4", f"{WHAT}, over Ray Tune", LIMIT_OF_RAY, "×", str(why)))
    tell(found)


if __name__ == "__main__":
    main()
