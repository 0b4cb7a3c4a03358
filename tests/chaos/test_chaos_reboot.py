"""A reboot is told as what it was: nothing starts by itself, and `run --resume` starts again what can go on."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

import pytest

from chaos_lab import ChaosLab, script
from race_lab import survivors_of

REBOOTED = """
mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"
"""


def cut_the_power(chaos: ChaosLab) -> None:
    """Everything of this lab is gone at once, guardians first, so that nobody writes down anything."""
    chaos.kill_supervisor()

    def kill() -> bool:
        found = sorted(survivors_of(chaos.root.parent), key=lambda process: "shim.py" not in process)
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(int(process.split(":")[0]), signal.SIGKILL)
        return not found

    chaos.wait_for(kill, "everybody to be gone")
    boot_id = chaos.root.parent / "boot_id"
    boot_id.write_text("00000000-1111-2222-3333-444444444444\n")
    chaos.prefix = ["unshare", "--mount", "sh", "-c", REBOOTED, "sh", str(boot_id)]
    if os.geteuid() != 0 or subprocess.run([*chaos.prefix, "true"], check=False).returncode:
        pytest.skip("only root can show processes another boot")


def test_a_reboot_is_told_as_what_it_was(chaos: ChaosLab) -> None:
    goes_on = script(["epochs", 1, 4], ["first attempt", ["save", "last.pt", 4]], ["mark", "up"], ["first attempt", ["forever"]], ["check", 5, 2.0], ["forever"])  # fmt: skip
    chaos.race(
        {
            "goes-on": goes_on,
            "has-nothing": script(["epochs", 1, 2], ["forever"]),
            "crash": script(["exit", 3]),
        }
    )
    chaos.start_race()
    chaos.wait_for_mark("up")
    chaos.wait_for(lambda: chaos.worker("crash")["state"] == "failed", "the crash to be seen")
    chaos.wait_for(lambda: chaos.worker("has-nothing")["lines"] == 2, "the others to run")
    cut_the_power(chaos)

    status = chaos.status()
    assert status["race"]["state"] == "interrupted"
    rows = {worker["name"]: worker for worker in status["workers"]}
    assert [rows[name]["state"] for name in ("goes-on", "has-nothing", "crash")] == ["lost", "lost", "failed"]
    assert rows["has-nothing"]["exit"] == {"code": None, "signal": None, "known": False}
    assert rows["crash"]["exit"] == {"code": 3, "signal": None, "known": True}
    assert "wtrace run --resume" in chaos.wtrace("watch").stdout
    assert [len(chaos.noted(f"starts-{name}")) for name in rows] == [1, 1, 1]  # nothing starts by itself

    chaos.wtrace("run", "--resume")
    rows = {worker["name"]: worker for worker in chaos.status()["workers"]}
    assert (rows["goes-on"]["state"], rows["goes-on"]["attempt"]) == ("won", 2)
    assert (rows["has-nothing"]["state"], rows["has-nothing"]["attempt"]) == ("lost", 1)
    assert "machine was restarted" in rows["has-nothing"]["note"]
    assert [len(chaos.noted(f"starts-{name}")) for name in rows] == [2, 1, 1]
    assert [event["rebooted"] for event in chaos.events("WorkerExited")] == [False, True, True, False]


def test_a_confirmation_that_a_reboot_ended_is_tried_again(chaos: ChaosLab) -> None:
    claims = script(["save", "best.pt", 1.9], ["check", 5, 2.0, "best.pt"], ["forever"])
    chaos.race({"a": claims}, extra=chaos.confirm("--wait"))
    chaos.start_race()
    chaos.wait_for(lambda: chaos.noted("evaluations"), "the confirmation to run")
    chaos.wait_for(lambda: chaos.events("CheckpointFrozen"), "the checkpoint to be frozen on record")
    cut_the_power(chaos)
    chaos.open_gate("confirm")
    chaos.wtrace("run", "--resume")
    assert chaos.status()["race"]["confirmed"]
    assert chaos.noted("evaluations") == ["1/attempts/1", "1/attempts/2"]
