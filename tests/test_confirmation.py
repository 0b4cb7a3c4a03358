"""Claims judged again on held-out data, with real processes; and the files that judge."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from race_lab import Lab

# What the held-out data say depends on the frozen checkpoint alone: it holds the ratio.
EVALUATE = """
import json, os, pathlib, sys, time
if "--crash" in sys.argv: sys.exit("no such split")
if "--hang" in sys.argv: print("the first of 900 batches", flush=True); time.sleep(600)
if "--silent" in sys.argv: sys.exit(0)
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
    elif kind == "checked amid a save":  # reports when half of it is there; the rest comes when the gate opens
        with open(OUTPUT / "best.pt", "w") as file:
            file.write(" " * 4096)
            file.flush()
            play(["checked", *values[:2]])
            wait_for(values[3])
            file.write(str(values[2]))
    elif kind == "remove best":
        (OUTPUT / "best.pt").unlink()
    elif kind == "sparse":
        with open(OUTPUT / "best.pt", "w") as file:
            file.truncate(values[0])
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
    shown = lab.wtrace("status").stdout
    assert re.search(r"leader: a, meets all 2 at epoch 5; being confirmed \(\d+ s of 10 min\)", shown), shown
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
    race(lab, {"a": a, "b": b}, confirm="attempts = 1")
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a")["state"] == "refuted", "the claim to be refuted")
    assert "ratio" in lab.worker("a")["note"]
    lab.open_gate("refuted")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.status()["race"]["winner"] == "b"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--crash", "no such split"),
        ("--hang", "outlasted its timeout of 1 s; it last said: the first of 900 batches"),
        ("--silent", "it reported no check"),
    ],
)
def test_a_confirmation_that_fails_twice_refutes_nothing(lab: Lab, word: str, says: str) -> None:
    """It is told with the evaluator's own last words, and the worker's one attempt is not used up."""
    steps = [*claim(5, 2.0, held_out=1.9), ["wait", "go"], *claim(10, 2.0, held_out=1.9)]
    race(lab, {"a": steps}, word, confirm="timeout = 1\nattempts = 1")
    running = lab.start("run")
    lab.wait_for(lambda: says in (lab.worker("a").get("note") or ""), "the first claim to be given up")
    assert lab.worker("a")["state"] == "running"
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1, output
    assert lab.worker("a")["state"] == "finished"
    tries = [len(list((lab.latest / f"claims/{number}/attempts").iterdir())) for number in (1, 2)]
    assert tries == [2, 2]
    report = (lab.latest / "results" / "FAILURE_REPORT.md").read_text()
    assert "claim 1 could not be confirmed, which refutes nothing" in report
    assert says.partition(";")[0] in report


def test_a_claim_without_a_checkpoint_cannot_be_confirmed(lab: Lab) -> None:
    race(lab, {"a": [["check", 5, 2.0]]})
    lab.wtrace("run", expect=1)
    assert "named no checkpoint" in lab.worker("a")["note"]


def frozen(lab: Lab, number: int) -> str | None:
    """What the frozen copy of that claim holds; None while there is none."""
    copy = lab.latest / "claims" / str(number) / "checkpoint.pt"
    return copy.read_text().strip() if copy.exists() else None


def told(lab: Lab, text: str) -> Callable[[], bool]:
    """Whether `wtrace status` says so among what has happened."""
    return lambda: text in lab.wtrace("status").stdout


def test_a_claim_that_waits_its_turn_is_frozen_when_it_is_made(lab: Lab) -> None:
    a = [*claim(5, 2.0, held_out=1.2), ["forever"]]
    b = [
        ["wait", "confirming"],
        *claim(5, 2.0, held_out=1.9),
        ["wait", "frozen"],
        ["save", 0.1],
        ["mark", "over"],
    ]
    race(lab, {"a": a, "b": [*b, ["forever"]]}, "--wait")
    running = lab.start("run")
    lab.wait_for(lambda: frozen(lab, 2) == "1.9", "the second claim to be frozen")
    assert lab.worker("a")["state"] == "confirming"
    lab.open_gate("frozen")
    lab.wait_for_mark("over")
    lab.open_gate("confirm")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert (lab.status()["race"]["winner"], frozen(lab, 2)) == ("b", "1.9")


def test_the_newest_check_that_passes_meanwhile_is_the_next_claim_though_its_worker_has_ended(
    lab: Lab,
) -> None:
    steps = [
        *claim(5, 2.0, held_out=1.2),
        ["wait", "confirming"],
        *claim(10, 2.0, held_out=1.1),
        ["wait", "10"],
    ]
    race(lab, {"a": [*steps, *claim(15, 2.0, held_out=1.9)]}, "--wait")
    running = lab.start("run")
    lab.wait_for(lambda: frozen(lab, 2) == "1.1", "the check at epoch 10 to be frozen")
    lab.open_gate("10")
    lab.wait_for(lambda: lab.worker("a")["exit"], "the worker to end")
    lab.wait_for(lambda: frozen(lab, 3) == "1.9", "the check at epoch 15 to be frozen")
    lab.wait_for(lambda: frozen(lab, 2) is None, "the copy that is not needed any more to be removed")
    lab.open_gate("confirm")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    status = lab.status()["race"]
    assert (status["winner"], status["confirmed"]) == ("a", True)
    assert "a WINS at epoch 15" in output


def test_a_file_that_is_still_being_written_is_waited_for(lab: Lab) -> None:
    samples = claim(5, 2.0, held_out=0)[1][2]
    race(lab, {"a": [["save", 0.1], ["checked amid a save", 5, samples, 1.9, "rest"], ["forever"]]})
    running = lab.start("run")
    lab.wait_for(told(lab, "waits for its checkpoint: best.pt is being written"), "the claim to wait")
    assert frozen(lab, 1) is None
    lab.open_gate("rest")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert frozen(lab, 1) == "1.9"


def test_a_file_that_is_not_there_yet_is_waited_for(lab: Lab) -> None:
    saved, checked = claim(5, 2.0, held_out=1.9)
    race(lab, {"a": [checked, ["wait", "go"], saved, ["forever"]]})
    running = lab.start("run")
    lab.wait_for(told(lab, "waits for its checkpoint: best.pt is not there"), "the claim to wait")
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert frozen(lab, 1) == "1.9"


def test_a_claim_whose_file_a_later_epoch_overwrote_is_not_confirmed_on_it(lab: Lab) -> None:
    saved, checked = claim(5, 2.0, held_out=1.9)
    later = [["checked", 10, {**checked[2], "accuracy": [0.1] * 20}], saved, ["wait", "told"]]
    race(lab, {"a": [checked, ["wait", "waits"], *later]})
    running = lab.start("run")
    lab.wait_for(told(lab, "waits for its checkpoint"), "the claim to wait")
    lab.open_gate("waits")
    lab.wait_for(told(lab, "best.pt was overwritten by a later epoch"), "the claim to be given up")
    lab.open_gate("told")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1, output
    assert not (lab.latest / "claims" / "1" / "attempts").exists()


def test_a_file_larger_than_the_disk_is_refused_at_once_and_the_next_claim_goes_on(lab: Lab) -> None:
    """Fifteen terabytes that are a hole: neither copied, nor hashed, nor tried for ever."""
    a = [["sparse", 15 << 40], claim(5, 2.0, held_out=0)[1], ["forever"]]
    race(lab, {"a": a, "b": [["wait", "refused"], *claim(5, 2.0, held_out=1.9), ["forever"]]})
    running = lab.start("run")
    lab.wait_for(told(lab, "best.pt says that it is"), "the file to be refused")
    assert lab.worker("a")["state"] == "running"
    lab.open_gate("refused")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.status()["race"]["winner"] == "b"


def test_a_checkpoint_outside_of_the_output_is_not_copied(lab: Lab) -> None:
    secret = lab.root.parent / "secret"
    secret.write_text("2.0")
    samples = {"persistent": [2.0] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
    race(lab, {"a": [["link", str(secret)], ["checked", 5, samples]]})
    lab.git("switch", "--quiet", "try/a")
    training = (lab.root / "train.py").read_text()
    link = '    elif kind == "link":\n        (OUTPUT / "best.pt").symlink_to(values[0])\n    elif kind == "exit":'
    (lab.root / "train.py").write_text(training.replace('    elif kind == "exit":', link))
    lab.git("commit", "--quiet", "-am", "link")
    lab.git("switch", "--quiet", "main")
    lab.wtrace("run", expect=1)
    assert "best.pt lies outside of the output" in lab.worker("a")["note"]
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
