"""Clock jumps change no verdict: a clock that is set a day forth and back while races run, and between supervisors."""

from __future__ import annotations

import textwrap

import pytest

from chaos_lab import ChaosLab, Lives, script

DAY_S = 86_400.0
JUMPING = textwrap.dedent('''
    """The time of day as a file shifts it: imported by every Python of the lab at its start."""
    import os, time
    real = time.time
    def jumped():
        with open(os.environ["LAB_GATES"] + "/clock") as file:
            return real() + float(file.read() or 0)
    time.time = jumped
''')


def set_clock(chaos: ChaosLab, seconds: float) -> None:
    """The clock is that far off from now on."""
    hidden = chaos.gates / ".clock"
    hidden.write_text(str(seconds))
    hidden.rename(chaos.gates / "clock")


@pytest.fixture
def jumping(chaos: ChaosLab) -> ChaosLab:
    """A lab whose clock can be set."""
    folder = chaos.root.parent / "jumping"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING)
    chaos.env["PYTHONPATH"] = str(folder)
    set_clock(chaos, 0)
    return chaos


def use_patched_too(chaos: ChaosLab, *changes: tuple[str, str, str]) -> None:
    """As `use_patched`, and the clock can still be set."""
    folder = chaos.env["PYTHONPATH"]
    chaos.use_patched(*changes)
    chaos.env["PYTHONPATH"] += f":{folder}"


both = pytest.mark.parametrize("guarded", [True, False])


@both
def test_a_clock_that_jumps_stalls_nobody_and_changes_no_order(jumping: ChaosLab, guarded: bool) -> None:
    if not guarded:
        careless = (
            "supervisor/clock.py",
            "return time.clock_gettime(_STEADY) + self._offset",
            "return time.time()",
        )
        use_patched_too(jumping, careless)
    a = script(["epochs", 1, 1], ["wait", "back"], ["check", 10, 2.0], ["forever"])
    b = script(
        ["epochs", 1, 1],
        ["wait", "forth"],
        ["epochs", 2, 2],
        ["wait", "late"],
        ["check", 5, 3.0],
        ["forever"],
    )
    jumping.race({"b": b, "a": a}, race='stall_after = 3600\non_stall = "stop"')
    jumping.start_race()
    jumping.wait_for(
        lambda: [worker["lines"] for worker in jumping.status()["workers"]] == [1, 1], "both to report"
    )
    set_clock(jumping, DAY_S)
    jumping.open_gate("forth")
    jumping.wait_for(lambda: jumping.worker("b")["lines"] == 2, "b to go on")
    set_clock(jumping, -DAY_S)
    jumping.open_gate("back")
    jumping.wait_for(lambda: jumping.events("VerdictReached") or jumping.events("RaceEnded") or jumping.worker("a")["exit"], "the verdict")  # fmt: skip
    jumping.open_gate("late")
    jumping.wait_for_end()
    times = [at for (at,) in jumping.query("SELECT at FROM events ORDER BY seq")]
    assert (jumping.events("WorkerStalled") == []) is guarded
    assert (jumping.status()["race"]["winner"] == "a") is guarded
    assert (times == sorted(times)) is guarded


@both
def test_a_clock_that_is_set_back_between_two_supervisors_delays_nothing(
    jumping: ChaosLab, guarded: bool
) -> None:
    if not guarded:
        use_patched_too(jumping, ("supervisor/clock.py", "max(time.time(), not_before)", "time.time()"))
    steps = script(["epochs", 1, 1], ["first attempt", ["wait", "crash"]], ["first attempt", ["exit", 3]], ["check", 5, 2.0], ["forever"])  # fmt: skip
    jumping.race({"a": steps}, race="retries = 1")
    jumping.start_race()
    jumping.wait_for(lambda: jumping.worker("a")["lines"] == 1, "the first line")
    jumping.open_gate("crash")
    jumping.wait_for(lambda: jumping.worker("a")["state"] == "retrying", "the crash to be seen")
    jumping.kill_supervisor()
    set_clock(jumping, -DAY_S)
    with Lives(jumping) as lives:
        ended = lives.live(at_most_s=30 if guarded else 4)
    assert (ended == "ended 0") is guarded
    assert (jumping.status()["race"]["winner"] == "a") is guarded
