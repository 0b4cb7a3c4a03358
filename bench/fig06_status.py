"""Figure 6: `wtrace status` while a race runs, piped and on a terminal, against `python -c pass`."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import time

from lab import Lab, console, lab
from measure import interleave, options, ratio_row, tell

LIMIT_PIPED, LIMIT_TERMINAL = 2, 8


def piped_s(found: Lab, command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, cwd=found.root, env=found.env, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - begun


def on_terminal_s(found: Lab, command: list[str]) -> float:
    here, there = pty.openpty()
    begun = time.perf_counter()
    running = subprocess.Popen(
        command, cwd=found.root, env=found.env, stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    with contextlib.suppress(OSError):  # EIO: the other side has left
        while os.read(here, 65536):
            pass
    if running.wait():
        raise RuntimeError(f"{command} failed")
    measured = time.perf_counter() - begun
    os.close(here)
    return measured


def main() -> None:
    given = options(__doc__, seconds=30)
    status, nothing = [*console(), "status"], [sys.executable, "-c", "pass"]
    with lab("starter.py", 4) as found:
        found.start_race()
        sides = {
            "status": lambda: piped_s(found, status),
            "status --json": lambda: piped_s(found, [*status, "--json"]),
            "python -c pass": lambda: piped_s(found, nothing),
            "status on a terminal": lambda: on_terminal_s(found, status),
            "python -c pass on a terminal": lambda: on_terminal_s(found, nothing),
        }
        measured = interleave(sides, rounds=given.pick(100, 2), seconds=given.seconds)
        found.stop_race()
    floor = "python -c pass"
    tell(
        [
            ratio_row("6", "`wtrace status`, piped", measured, ours="status", other=floor, limit=LIMIT_PIPED),
            ratio_row(
                "6", "`wtrace status --json`, piped", measured, ours="status --json", other=floor, limit=LIMIT_PIPED
            ),
            ratio_row(
                "6", "`wtrace status` on a terminal", measured,
                ours="status on a terminal", other=f"{floor} on a terminal", limit=LIMIT_TERMINAL,
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
