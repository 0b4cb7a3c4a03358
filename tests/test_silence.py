"""What counts as a worker's silence, and what becomes of one that is silent: whole races."""

from __future__ import annotations

from race_lab import Lab, Script

# The boot-time clock jumps by two hours once a file appears, as it does while a machine is suspended.
SLEEPS = """
import os, pathlib, time
_real, _gate = time.clock_gettime, pathlib.Path(os.environ["LAB_GATES"], "slept")
time.clock_gettime = lambda which: _real(which) + 7200 * (which == time.CLOCK_BOOTTIME and _gate.exists())
"""


def test_a_stalled_worker_that_obeys_is_started_again_and_goes_on(lab: Lab) -> None:
    script: Script = [["save_on_term"], ["save_first", "half.pt"], ["check", 5, 2.0]]
    lab.race({"a": script}, race='stall_after = 1\non_stall = "restart"')
    lab.wtrace("run")
    worker = lab.worker("a")
    assert (worker["state"], worker["attempt"]) == ("won", 2)
    assert (
        lab.latest / "a" / "output" / "saved"
    ).exists()  # by the first attempt, when it was asked to leave


def test_a_machine_that_slept_makes_nobody_stalled(lab: Lab) -> None:
    patch = lab.root.parent / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(SLEEPS)
    lab.env["PYTHONPATH"] = str(patch)
    script: Script = [
        ["epoch", 1],
        ["mark", "ready"],
        ["wait", "slept"],
        ["epoch", 2],
        ["wait", "go"],
        ["check", 5, 2.0],
    ]
    lab.race({"a": script}, race='stall_after = 600\non_stall = "stop"')
    running = lab.start("run")
    lab.wait_for_mark("ready")
    lab.wait_for(lambda: lab.worker("a")["epoch"] == 1, "the first epoch to be read")
    lab.open_gate("slept")
    lab.wait_for(lambda: lab.worker("a")["epoch"] == 2, "the second epoch to be read")
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert "the machine slept for 2 h" in output
    assert "stalled" not in output
