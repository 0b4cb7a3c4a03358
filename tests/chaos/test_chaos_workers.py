"""Crashes are handled as asked; a worker can be halted and let go on, and still dies with the race."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chaos_lab import ChaosLab, script
from runner_world import state_of

FIRST = script(["beat", "go"], ["check", 5, 2.0], ["forever"])


def test_a_start_that_fails_at_once_is_not_tried_again_in_a_loop(chaos: ChaosLab) -> None:
    chaos.race({"a": script(["exit", 1])}, race="retries = 5")
    chaos.wtrace("run", expect=1)
    assert len(chaos.noted("starts-a")) == 1


def test_a_crash_is_tried_again_after_a_while_and_goes_on_from_its_checkpoint(chaos: ChaosLab) -> None:
    steps = script(["first attempt", ["save", "last.pt", 7]], ["epochs", 1, 1], ["first attempt", ["exit", 3]], ["need", "last.pt"], ["check", 5, 2.0], ["forever"])  # fmt: skip
    chaos.race({"a": steps}, race="retries = 1")
    chaos.wtrace("run")
    crashed, again = (event["at"] for event in chaos.events("WorkerLaunched"))
    ended = chaos.events("WorkerExited")[0]["at"]
    assert crashed < ended <= again - 2.0
    assert [event["code"] for event in chaos.events("WorkerExited")] == [3, 40]


@pytest.mark.parametrize(("on_stall", "attempts", "state"), [("warn", 1, "terminated"), ("restart", 2, "terminated"), ("stop", 1, "stopped")])  # fmt: skip
def test_silence_is_told_and_answered_as_asked(
    chaos: ChaosLab, on_stall: str, attempts: int, state: str
) -> None:
    silent = script(
        ["epochs", 1, 1], ["first attempt", ["wait", "speak"]], ["epochs", 2, 900, 0.05], ["forever"]
    )
    chaos.race({"a": FIRST, "b": silent}, race=f'stall_after = 1\non_stall = "{on_stall}"')
    chaos.start_race()
    chaos.wait_for(
        lambda: [e for e in chaos.events("WorkerStalled") if e["worker"] == "b"], "b to be called stalled"
    )
    if on_stall == "warn":
        assert chaos.worker("b")["state"] == "stalled"
        chaos.open_gate("speak")
        chaos.wait_for(lambda: chaos.worker("b")["state"] == "running", "b to be heard again")
    elif on_stall == "restart":
        chaos.wait_for(lambda: len(chaos.noted("starts-b")) == 2, "b to be started again")
    else:
        chaos.wait_for(lambda: chaos.worker("b")["state"] == "stopped", "b to be stopped")
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert len(chaos.noted("starts-b")) == attempts
    assert chaos.worker("b")["state"] == state


def test_a_loss_that_is_no_number_is_named_once(chaos: ChaosLab) -> None:
    nan = '{"event": "epoch", "epoch": 3, "metrics": {"train_loss": NaN, "lr": 0.1}}\n'
    chaos.race({"a": FIRST, "b": script(["epochs", 1, 2], ["raw", nan], ["raw", nan], ["mark", "lost"], ["wait", "more"], ["raw", nan], ["forever"])})  # fmt: skip
    chaos.start_race()
    chaos.wait_for_mark("lost")
    chaos.wait_for(
        lambda: "train_loss is nan at epoch 3" in chaos.wtrace("status").stdout, "the loss to be named"
    )
    chaos.wait_for(lambda: chaos.worker("b")["lines"] == 4, "the lines")
    chaos.kill_supervisor()
    chaos.open_gate("more")
    chaos.open_gate("go")
    chaos.wtrace("run", "--resume")
    told = [event["text"] for event in chaos.events("Noticed")]
    assert told == ["its loss is no number any more: train_loss is nan at epoch 3"]


def test_a_halted_worker_is_not_stalled_goes_on_and_dies_with_the_race(chaos: ChaosLab) -> None:
    halted = script(["child"], ["mark", "up"], ["beat", "never"])
    chaos.race({"a": FIRST, "b": halted, "c": halted}, race='stall_after = 1\non_stall = "stop"')
    chaos.start_race()
    chaos.wait_for_mark("up")
    pids = {name: tree_of(chaos.wait_for(lambda: chaos.worker(name)["pid"], "it to run")) for name in "bc"}  # noqa: B023
    for name in "bc":
        chaos.wait_for(lambda: len(tree_of(pids[name][0])) == 2, "the child to be there")  # noqa: B023
        pids[name] = tree_of(pids[name][0])
        chaos.wtrace("pause", name)
        chaos.wait_for(lambda: {state_of(pid) for pid in pids[name]} == {"T"}, "the whole tree to halt")  # noqa: B023
    paused_at = time.monotonic()
    chaos.wait_for(
        lambda: time.monotonic() > paused_at + 1.5, "longer than the time after which it would be stalled"
    )
    assert [chaos.worker(name)["state"] for name in "bc"] == ["paused", "paused"]
    lines = chaos.worker("b")["lines"]
    chaos.wtrace("unpause", "b")
    chaos.wait_for(lambda: chaos.worker("b")["lines"] > lines, "b to go on")
    chaos.open_gate("go")
    chaos.wait_for_end()
    assert chaos.events("WorkerStalled") == []
    assert {worker["state"] for worker in chaos.status()["workers"]} == {"won", "terminated"}
    assert chaos.noted("terms-c") == ["1"]  # let go on in order to save
    assert [state_of(pid) for pid in (*pids["b"], *pids["c"])] == [""] * 4


def tree_of(leader: int) -> list[int]:
    """A worker and what its guardian adopted: a daemon that left by a double fork."""
    guardian = int(Path(f"/proc/{leader}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return [leader, *(pid for pid in children_of(guardian) if pid != leader)]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
