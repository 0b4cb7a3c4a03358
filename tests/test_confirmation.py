"""Claims judged again on held-out data, with real processes; and the files that judge."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from race_lab import Lab

# What the held-out data say depends on the frozen checkpoint alone: it holds the ratio.
EVALUATE = """
import json, os, pathlib, sys, time
if "--crash" in sys.argv: sys.exit("no such split")
if "--hang" in sys.argv: time.sleep(600)
gate = pathlib.Path(os.environ["LAB_GATES"], "confirm")
if "--wait" in sys.argv:
    pathlib.Path(os.environ["LAB_GATES"], "confirming").touch()
    while not gate.exists(): time.sleep(0.005)
ratio = float(pathlib.Path(sys.argv[1]).read_text())
samples = {"persistent": [ratio] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
if "--ids" in sys.argv: samples["id"] = list(range(9000, 9020))
with open(os.environ["WTRACE_METRICS"], "a") as file:
    file.write(json.dumps({"event": "check", "epoch": 5, "samples": samples}) + "\\n")
"""


def claim(epoch: int, ratio: float, held_out: float) -> list[list[Any]]:
    """A check that passes, with a checkpoint that holds `held_out` at first and is overwritten right after."""
    samples = {"persistent": [ratio] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
    return [["save", held_out], ["checked", epoch, samples]]


def race(lab: Lab, scripts: dict[str, list[list[Any]]], *words: str, confirm: str = "") -> None:
    training = (lab.root / "train.py").read_text()
    more = """    elif kind == "save":
        (OUTPUT / "best.pt").write_text(str(values[0]))
    elif kind == "checked":
        report(event="check", epoch=values[0], samples=values[1], checkpoint="best.pt")
    elif kind == "exit":"""
    (lab.root / "train.py").write_text(training.replace('    elif kind == "exit":', more))
    (lab.root / "evaluate.py").write_text(EVALUATE)
    lab.git("add", ".")
    lab.git("commit", "--quiet", "-m", "evaluation")
    arguments = ", ".join(f'"{word}"' for word in ("python", "evaluate.py", "{checkpoint}", *words))
    lab.race(scripts, extra=f"[confirm]\ncommand = [{arguments}]\n{confirm}")


def test_a_claim_is_confirmed_on_the_frozen_checkpoint_while_the_worker_trains_on(lab: Lab) -> None:
    steps = [
        *claim(5, 2.0, held_out=1.9),
        ["wait", "confirming"],
        ["save", 0.1],
        ["mark", "overwritten"],
        ["forever"],
    ]
    race(lab, {"a": steps, "b": [["mark", "up"], ["forever"]]}, "--wait")
    running = lab.start("run")
    lab.wait_for_mark("overwritten")
    assert (lab.worker("a")["state"], lab.worker("b")["state"]) == ("confirming", "running")
    lab.open_gate("confirm")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    status = lab.status()
    assert (status["race"]["winner"], status["race"]["confirmed"]) == ("a", True)
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert "not confirmed" not in report
    frozen = lab.latest / "claims" / "1" / "checkpoint.pt"
    assert frozen.read_text() == "1.9"
    assert hashlib.sha256(frozen.read_bytes()).hexdigest() in report


def test_how_often_the_held_out_data_have_been_used_is_counted_over_all_races(lab: Lab) -> None:
    """The same data are those of the same checksum and ids: the second race's are other data, the third's not."""

    def one(held_out: float, data: str) -> list[list[Any]]:
        start = {"event": "start", "max_epochs": 50, "info": {"data": data}}
        return [["raw", json.dumps(start) + "\n"], *claim(5, 2.0, held_out), ["forever"]]

    def uses(expect: int) -> str:
        lab.wtrace("run", expect=expect)
        (report,) = (lab.latest / "results").glob("*_REPORT.md")
        return next(
            line for line in report.read_text().splitlines() if "held-out data have been used" in line
        )

    race(lab, {"a": [*one(1.2, "sha256:one")[:-1]]}, "--ids")
    assert "1 time to confirm a claim, in 1 race of this repo" in uses(1)
    for script, told in ((one(1.9, "sha256:two"), "1 time"), (one(1.9, "sha256:one"), "2 times")):
        (lab.root.parent / "repo-worktrees" / "a" / "script.json").write_text(json.dumps(script))
        assert f"{told} to confirm a claim" in uses(0)
    assert "in 2 races" in (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()


def test_a_claim_that_does_not_hold_on_held_out_data_is_refuted_and_the_race_goes_on(lab: Lab) -> None:
    a = [*claim(5, 2.0, held_out=1.2), ["forever"]]
    b = [["wait", "refuted"], *claim(5, 1.6, held_out=1.6), ["forever"]]
    race(lab, {"a": a, "b": b})
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a")["state"] == "refuted", "the claim to be refuted")
    assert "ratio" in lab.worker("a")["note"]
    lab.open_gate("refuted")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.status()["race"]["winner"] == "b"


@pytest.mark.parametrize(("word", "says"), [("--crash", "no such split"), ("--hang", "timeout")])
def test_a_confirmation_that_fails_is_tried_twice_then_refused(lab: Lab, word: str, says: str) -> None:
    race(lab, {"a": [*claim(5, 2.0, held_out=1.9), ["forever"]]}, word, confirm="timeout = 1")
    lab.wtrace("run", expect=1)
    assert lab.worker("a")["state"] == "refuted"
    assert says in lab.worker("a")["note"]
    assert len(list((lab.latest / "claims" / "1" / "attempts").iterdir())) == 2


def test_a_claim_without_a_checkpoint_cannot_be_confirmed(lab: Lab) -> None:
    race(lab, {"a": [["check", 5, 2.0], ["forever"]]})
    lab.wtrace("run", expect=1)
    assert "named no checkpoint" in lab.worker("a")["note"]


def test_a_checkpoint_outside_of_the_output_is_not_copied(lab: Lab) -> None:
    secret = lab.root.parent / "secret"
    secret.write_text("2.0")
    samples = {"persistent": [2.0] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
    race(lab, {"a": [["link", str(secret)], ["checked", 5, samples], ["forever"]]})
    lab.git("switch", "--quiet", "try/a")
    training = (lab.root / "train.py").read_text()
    link = '    elif kind == "link":\n        (OUTPUT / "best.pt").symlink_to(values[0])\n    elif kind == "exit":'
    (lab.root / "train.py").write_text(training.replace('    elif kind == "exit":', link))
    lab.git("commit", "--quiet", "-am", "link")
    lab.git("switch", "--quiet", "main")
    lab.wtrace("run", expect=1)
    assert "outside of the output" in lab.worker("a")["note"]
    assert not list((lab.latest / "claims").rglob("checkpoint*"))


def test_a_confirmation_survives_the_supervisor(lab: Lab) -> None:
    race(lab, {"a": [*claim(5, 2.0, held_out=1.9), ["forever"]]}, "--wait")
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("confirming")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    lab.open_gate("confirm")
    lab.wtrace("run", "--resume")
    assert lab.status()["race"]["confirmed"]
    assert [path.name for path in (lab.latest / "claims" / "1" / "attempts").iterdir()] == ["1"]


def test_a_race_with_different_judges_does_not_start(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]], "b": [["check", 5, 2.0]]}, extra='[judge]\nfiles = ["train.py"]')
    lab.git("switch", "--quiet", "try/b")
    (lab.root / "train.py").write_text("# my own\n" + (lab.root / "train.py").read_text())
    lab.git("commit", "--quiet", "-am", "own judge")
    lab.git("switch", "--quiet", "main")
    done = lab.wtrace("run", expect=2)
    assert "train.py of branch try/b" in done.stderr
    assert "+# my own" in done.stderr
    assert lab.status()["race"] is None


def test_a_judge_that_was_changed_after_the_start_makes_a_claim_not_count(lab: Lab) -> None:
    lab.race(
        {"a": [["mark", "up"], ["wait", "go"], ["check", 5, 2.0]]}, extra='[judge]\nfiles = ["train.py"]'
    )
    running = lab.start("run")
    lab.wait_for_mark("up")
    with Path(lab.worker("a")["worktree"], "train.py").open("a") as file:
        file.write("# changed\n")
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1, output
    assert "was changed in its worktree" in output
