"""The supervisor is killed at every named point, twice in a row and again when it comes there a second time.

Killing it never kills, repeats or loses a run.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

from chaos_lab import ChaosLab, Lives, assert_intact, script
from runner_world import state_of
from wtrace.supervisor.failpoints import NAMES
from wtrace.supervisor.requests import leave_request

CRASH = script(
    ["epochs", 1, 3], ["wait", "crash"], ["epochs", 4, 6], ["raw", '{"event": "epoch", "epoch": 7}']
)
WINNER = script(
    ["epochs", 1, 9], ["mark", "up"], ["wait", "go"], ["check", 10, 2.0], ["epochs", 11, 13], ["forever"]
)
LOSER = script(["at last", {"event": "epoch", "epoch": 20}], ["epochs", 1, 5], ["check", 5, 1.0], ["forever"])


def test_killed_while_it_launches_and_while_workers_end(chaos: ChaosLab) -> None:
    chaos.race({"a": WINNER, "b": [*CRASH, ["exit", 3]], "c": [*CRASH, ["die", signal.SIGSEGV]], "d": LOSER})
    chaos.start_race("before-commit:1:kill")
    with Lives(chaos) as lives:
        lives.die_twice_at("before-commit", "after-commit", "before-spawn")
        lives.die_at("before-spawn", 2)
        lives.die_at("after-spawn")
        lives.die_at("after-spawn")
        lives.die_at("after-commit", 2)  # the last one was spawned in this life, and is seen to start
        chaos.wait_for(lambda: len(chaos.noted("starts-d")) == 1, "all to run")
        chaos.open_gate("crash")
        for name in "bc":
            chaos.wait_for((chaos.latest / name / "exit.json").exists, "the crash to be written down")
        lives.die_twice_at("before-drain", "after-drain")
        lives.die_at("before-drain", 2)
        lives.die_at("after-drain", 2)
        chaos.open_gate("go")
        assert lives.live() == "ended 0"
    assert chaos.status()["race"]["winner"] == "a"
    assert_intact(chaos, {"a": [40], "b": [3], "c": [-signal.SIGSEGV], "d": [40]})


def ask(chaos: ChaosLab, what: str, worker: str) -> None:
    leave_request(chaos.latest / "requests", what, (worker,), by="a test")


def test_killed_while_it_stops_and_halts_on_request(chaos: ChaosLab) -> None:
    stubborn = script(["child"], ["ignore_term"], ["mark", "stubborn"], ["forever"])
    chaos.race({"a": WINNER, "b": LOSER, "c": stubborn})
    chaos.start_race()
    for mark in ("up", "stubborn"):
        chaos.wait_for_mark(mark)
    chaos.wait_for(lambda: chaos.worker("b")["checks"] == 1, "the first check")
    leader = chaos.worker("c")["pid"]
    with Lives(chaos) as lives:
        chaos.kill_supervisor()
        for point in ("before-commit", "after-commit", "before-signal", "after-signal"):
            ask(chaos, "pause", "c")
            lives.die_at(point)
            until_state(lives, leader, "T")
            ask(chaos, "unpause", "c")
            lives.die_at(point)
            until_state(lives, leader, "S")
        ask(chaos, "stop", "b")
        lives.die_twice_at("before-signal", "after-signal")
        chaos.open_gate("go")
        assert lives.live() == "ended 0"
    assert chaos.status()["race"]["winner"] == "a"
    assert chaos.worker("b")["state"] == "stopped"
    assert_intact(chaos, {"a": [40], "b": [40], "c": [-signal.SIGKILL]})
    assert chaos.noted("terms-b") == ["1"]


def until_state(lives: Lives, pid: int, state: str) -> None:
    """The next supervisor does what the killed one may have left undone."""
    lives.live_until(lambda: state_of(pid) == state, f"process {pid} to be in state {state}")


def test_killed_while_it_confirms_and_reaches_its_verdict(chaos: ChaosLab) -> None:
    refuted = script(["save", "best.pt", 1.2], ["check", 5, 2.0, "best.pt"], ["mark", "up"], ["forever"])
    winner = script(["wait", "go"], ["save", "best.pt", 1.9], ["check", 10, 1.8, "best.pt"], ["forever"])
    chaos.race({"a": refuted, "b": winner, "c": LOSER}, extra=chaos.confirm("--wait", more="attempts = 1"))
    chaos.start_race("before-claim:1:kill")
    chaos.wait_for_mark("up")
    with Lives(chaos) as lives:
        lives.die_twice_at("before-claim", "after-claim", "before-freeze", "after-freeze")
        lives.die_twice_at("before-frozen", "after-frozen")
        lives.die_twice_at("before-confirmation-start")
        lives.die_at("before-commit", 2)
        lives.die_twice_at("after-confirmation-start")
        chaos.open_gate("confirm")
        chaos.wait_for((chaos.latest / "claims/1/attempts/1/exit.json").exists, "the confirmation to end")
        lives.die_twice_at("before-confirmation-end", "after-confirmation-end")
        lives.live_until(lambda: chaos.worker("a")["state"] == "refuted", "the claim to be refuted")
        chaos.open_gate("go")
        lives.die_at("after-claim")
        lives.die_at("before-copy-appears")
        lives.die_at("after-copy-appears")
        lives.die_at("after-freeze")
        lives.die_at("after-confirmation-start")
        chaos.wait_for((chaos.latest / "claims/2/attempts/1/exit.json").exists, "the confirmation to end")
        lives.die_twice_at("before-verdict", "after-verdict", "before-signal", "after-signal")
        lives.die_twice_at("before-report", "after-report", "before-page", "after-page", "before-close")
        lives.die_at("after-close")
        assert lives.live() == f"refused: race {chaos.latest.name} has ended"
    status = chaos.status()
    assert (status["race"]["winner"], status["race"]["confirmed"]) == ("b", True)
    assert_intact(chaos, {"a": [40], "b": [40], "c": [40]})
    assert chaos.worker("a")["state"] == "refuted"
    assert "b" in (chaos.latest / "results" / "SUCCESS_REPORT.md").read_text().splitlines()[0]


def test_no_point_was_left_out() -> None:
    text = Path(__file__).read_text()
    killed_at = [name for name in NAMES if re.search(rf'"{name}"', text)]
    assert killed_at == list(NAMES)
