"""Figure 9: progress to a target over a held connection, and a changed 200 MB output, against rsync itself.

The target is a real sshd on loopback. Floor of progress: one rsync of the same two files over a ControlMaster
connection. Floor of the output: one plain rsync of the same folder, of which 1 % has changed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Row, interleave, options, ratio_row, skipped, tell

from wtrace.mirror.connection import Connection
from wtrace.mirror.push import Push
from wtrace.mirror.target import Target

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from sync_lab import machine

PROGRESS, OUTPUT = "progress over a held connection", "200 MB of output, 1 % of it changed"
LIMIT_OF_PROGRESS, LIMIT_OF_OUTPUT = 1.3, 1.2
BLOCK = 1 << 20


def rewrite(folder: Path) -> None:
    """New progress of the same size, as every rewriting is."""
    for name, size in (("PARALLEL_PROGRESS.md", 1200), ("dashboard.html", 80_000)):
        (folder / name).write_bytes(os.urandom(size // 2).hex().encode())


def change(path: Path, share: float) -> None:
    """Change that share of a file's blocks; its time moves on by more than rsync's quick check may overlook."""
    changed_ns = path.stat().st_mtime_ns + 10**10
    blocks = path.stat().st_size // BLOCK
    with path.open("r+b") as file:
        for block in random.sample(range(blocks), max(1, int(blocks * share))):
            file.seek(block * BLOCK)
            file.write(os.urandom(BLOCK))
    os.utime(path, ns=(changed_ns, changed_ns))


def timed(run: object, *args: object) -> float:
    begun = time.perf_counter()
    run(*args)  # type: ignore[operator]
    return time.perf_counter() - begun


def measure(folder: Path, megabytes: int, rounds: int, seconds: float) -> list[Row]:
    results, output = folder / "results", folder / "output"
    results.mkdir()
    output.mkdir()
    big = output / "checkpoint.pt"
    big.write_bytes(os.urandom(megabytes * BLOCK))
    with machine(folder / "laptop") as laptop:
        target = Target("mac", laptop.host, "wtrace/bench", rsync="rsync", ssh_config=laptop.ssh_config)
        ssh = f"ssh -F {laptop.ssh_config} -S {folder}/s"
        master = subprocess.Popen([*ssh.split(), "-MN", laptop.host], stdin=subprocess.DEVNULL)
        rsync = ["rsync", "-rt", "-e", ssh]
        try:
            with Connection(target) as connection:
                push = Push(connection, "20260101-000000-bench", results)

                def plain(source: Path, there: str) -> None:
                    subprocess.run([*rsync, f"{source}/", f"{laptop.host}:{there}/"], check=True)

                def progress(send: object, *args: object) -> float:
                    rewrite(results)
                    return timed(send, *args)

                def changed(send: object, *args: object) -> float:
                    change(big, 0.01)
                    return timed(send, *args)

                rewrite(results)
                push.progress()
                push.winner(output)
                plain(results, "plain-results")
                plain(output, "plain-output")
                small = interleave(
                    {
                        "wtrace": lambda: progress(push.progress),
                        "rsync": lambda: progress(plain, results, "plain-results"),
                    },
                    rounds=rounds * 4,
                    seconds=seconds / 2,
                )
                large = interleave(
                    {
                        "wtrace": lambda: changed(push.winner, output),
                        "rsync": lambda: changed(plain, output, "plain-output"),
                    },
                    rounds=rounds,
                    seconds=seconds / 2,
                )
        finally:
            master.terminate()
            master.wait()
    return [
        ratio_row("9", PROGRESS, small, ours="wtrace", other="rsync", limit=LIMIT_OF_PROGRESS),
        ratio_row("9", OUTPUT, large, ours="wtrace", other="rsync", limit=LIMIT_OF_OUTPUT),
    ]


def main() -> None:
    given = options(__doc__, seconds=45)
    try:
        with tempfile.TemporaryDirectory(prefix="wtrace-bench-") as folder:
            rows = measure(Path(folder), given.pick(200, 5), given.pick(10, 1), given.seconds)
    except BaseException as error:
        if type(error).__name__ != "Skipped":  # what the lab raises where there is no sshd
            raise
        rows = [
            skipped("9", PROGRESS, LIMIT_OF_PROGRESS, "×", str(error)),
            skipped("9", OUTPUT, LIMIT_OF_OUTPUT, "×", str(error)),
        ]
    tell(rows)


if __name__ == "__main__":
    main()
