"""How a worker ended is exact, or unknown; the kernel's out-of-memory killer is named where the kernel says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chaos_lab import ChaosLab, script

LIMIT_BYTES = 300_000_000
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(name: str) -> Iterator[Path]:
    """A cgroup in which memory is short; yields its list of processes."""
    root, limit = (V1, "memory.limit_in_bytes") if V1.is_dir() else (V2, "memory.max")
    group = root / name
    try:
        group.mkdir()
        (group / limit).write_text(str(LIMIT_BYTES))
    except OSError as error:
        pytest.skip(f"no cgroup can be had: {error}")
    try:
        yield group / "cgroup.procs"
    finally:
        with suppress(OSError):
            group.rmdir()


def test_the_out_of_memory_killer_is_named_and_nobody_else_is_taken_for_it(chaos: ChaosLab) -> None:
    hungry = script(["wait", "eat"], ["eat", LIMIT_BYTES], ["forever"])
    chaos.race({"killed": script(["die", signal.SIGKILL]), "hungry": hungry, "won": script(["wait", "go"], ["check", 5, 2.0], ["forever"])})  # fmt: skip
    with memory_limit(f"wtrace-test-{os.getpid()}") as processes:
        chaos.prefix = ["sh", "-c", f'echo $$ > {processes}; exec "$@"', "sh"]
        chaos.start_race()
        chaos.prefix = []
        chaos.wait_for(lambda: chaos.worker("killed")["exit"], "the first to be killed")
        chaos.open_gate("eat")
        chaos.wait_for(lambda: chaos.worker("hungry")["exit"], "the hungry one to be killed")
        chaos.open_gate("go")
        chaos.wait_for_end()
        chaos.wait_for_nobody()
    rows = {worker["name"]: worker for worker in chaos.status()["workers"]}
    by_sigkill = {"code": None, "signal": signal.SIGKILL, "known": True}
    assert rows["killed"]["exit"] == rows["hungry"]["exit"] == by_sigkill
    assert "out-of-memory" in (rows["hungry"]["note"] or "")
    assert "out-of-memory" not in (rows["killed"]["note"] or "")
    assert rows["won"]["state"] == "won"


def test_a_worker_whose_guardian_was_killed_is_lost_and_its_exit_unknown(chaos: ChaosLab) -> None:
    chaos.race({"a": script(["wait", "go"], ["check", 5, 2.0], ["forever"]), "b": script(["child"], ["mark", "up"], ["forever"])})  # fmt: skip
    chaos.start_race()
    chaos.wait_for_mark("up")
    leader = chaos.wait_for(lambda: chaos.worker("b")["pid"], "the worker to run")
    guardian = int(Path(f"/proc/{leader}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(guardian, signal.SIGKILL)
    chaos.wait_for(lambda: chaos.worker("b")["state"] == "lost", "it to be told as lost")
    assert chaos.worker("b")["exit"] == {"code": None, "signal": None, "known": False}
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert chaos.survivors() == []
