"""What is taken of a worker's files once it has ended: the frozen copy, and whole files only."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from chaos_lab import LONG
from race_lab import Lab
from saving_lab import METRICS, WINS_AT, epoch_of_whole, write_race
from wtrace.mirror.rsync import without
from wtrace.race.paths import Layout
from wtrace.race.retention import Named, Thinning, thinning
from wtrace.race.whole import NOT_THERE, Ending, doubt
from wtrace.supervisor.checkpoints.whole import Wholeness
from wtrace.supervisor.create import recall
from wtrace.supervisor.sync_agent import RaceFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE_FILE = f'{METRICS}checkpoint = "model.pt"\n'

EVALUATE = """
import hashlib, json, os, sys
content = open(sys.argv[1], "rb").read()
whole = hashlib.sha256(content[:-32]).digest() == content[-32:]
loss = 0.1 if whole and int(content[:8]) == 2 else 0.9
with open(os.environ["WTRACE_METRICS"], "a") as file:
    file.write(json.dumps({"event": "check", "epoch": 2, "metrics": {"val_loss": loss}}) + "\\n")
"""
CONFIRM = '[confirm]\ncommand = ["python", "evaluate.py", "{checkpoint}"]\nattempts = 1\n'


def report(lab: Lab) -> str:
    (path,) = (lab.latest / "results").glob("*_REPORT.md")
    return path.read_text().replace("\\", "").replace("`", "")


@pytest.mark.parametrize("way", ["by_rename", "by_child", "computed", "by_thread"])
def test_the_frozen_copy_is_of_the_winning_epoch_though_it_is_saved_after_the_report(
    lab: Lab, way: str
) -> None:
    # A save in a thread is over before the next reading: one that is not is of an unknown epoch.
    write_race(lab, way, epoch_s=2.0 if way == "by_thread" else 0.3, metrics=ONE_FILE)
    lab.wtrace("run")
    frozen = lab.latest / "claims" / "1" / "checkpoint.pt"
    assert epoch_of_whole(frozen) == WINS_AT
    assert f"model.pt as it was at epoch **{WINS_AT}**: claims/1/checkpoint.pt" in report(lab)


@pytest.mark.parametrize("number", range(40 if LONG else 3))
def test_a_supervisor_that_stands_still_again_and_again_freezes_no_other_epoch(lab: Lab, number: int) -> None:
    """For longer than an epoch now and then, so that it reads two reports at once, or sees the next save for the first."""
    dice = random.Random(number)
    write_race(lab, "by_thread", epoch_s=0.6, metrics=ONE_FILE)
    lab.wtrace("run", "--detach")
    while not (status := lab.status())["race"]["ended"]:
        with contextlib.suppress(ProcessLookupError, TypeError):  # it has ended; it has no lock yet
            os.kill(status["supervisor"]["pid"], signal.SIGSTOP)
            time.sleep(dice.uniform(0.2, 0.9))
            os.kill(status["supervisor"]["pid"], signal.SIGCONT)
    frozen = lab.latest / "claims" / "1" / "checkpoint.pt"
    assert not frozen.exists() or epoch_of_whole(frozen) == WINS_AT


@pytest.mark.parametrize("way", ["in_place"])
def test_held_out_data_judge_the_model_of_the_claim(lab: Lab, way: str) -> None:
    (lab.root / "evaluate.py").write_text(EVALUATE)
    lab.git("add", "evaluate.py")
    write_race(lab, way, metrics=ONE_FILE, extra=CONFIRM)
    lab.wtrace("run")
    status = lab.status()["race"]
    assert (status["winner"], status["winner_epoch"], status["confirmed"]) == ("a", WINS_AT, True)


def test_the_winning_epochs_model_is_merged_and_handed_to_what_runs_afterwards(lab: Lab) -> None:
    after = '[after]\nwinner = [["cp", "{checkpoint}", "{output}/winning.pt"]]\n'
    write_race(lab, "in_place", metrics=ONE_FILE, extra=after)
    lab.wtrace("run")
    assert epoch_of_whole(lab.latest / "a" / "output" / "winning.pt") == WINS_AT
    lab.git("switch", "--quiet", "-c", "elsewhere")
    lab.wtrace("merge")
    lab.git("checkout", "--quiet", "main", "--", "results/lab/checkpoint/a.pt")
    assert epoch_of_whole(lab.root / "results" / "lab" / "checkpoint" / "a.pt") == WINS_AT


def test_a_torn_file_is_neither_committed_nor_mirrored_and_is_told(lab: Lab) -> None:
    after = '[after]\nwinner = [["true"]]\n'
    write_race(lab, "hangs", metrics=ONE_FILE, race="settle = 0.5", extra=after)
    lab.wtrace("run")
    torn = "it was still being written when its worker was ended"
    assert f"model.pt in its output folder may not be whole: {torn}" in report(lab)
    assert "there is no copy of epoch 2: its checkpoint model.pt" in report(lab)
    assert f"model.pt of a may not be whole: {torn}" in lab.wtrace("status").stdout
    assert RaceFacts(Layout(lab.root), lab.latest.name)().winner_left_out == ("model.pt",)
    lab.git("switch", "--quiet", "-c", "elsewhere")
    done = lab.wtrace("merge")
    assert f"left out of the commit: checkpoint/a.pt  {torn}" in done.stdout
    assert "checkpoint" not in lab.git("ls-tree", "-r", "--name-only", "main:results/lab")


TORN = """    elif kind == "amid a save":  # it reports its best check, and is ended in the middle of the save
        with open(OUTPUT / values[0], "w") as file:
            check(values[1], values[2], checkpoint=values[0])
            reported = time.time()
            while True:
                file.write("more")
                file.flush()
                if time.time() > reported + 0.5:
                    (GATES / "amid").touch()
                time.sleep(0.02)
    elif kind == "exit":"""


def keep(lab: Lab, loser: Sequence[Sequence[Any]]) -> list[str]:
    training = (lab.root / "train.py").read_text()
    (lab.root / "train.py").write_text(training.replace('    elif kind == "exit":', TORN))
    lab.git("commit", "--quiet", "-am", "saves")
    winner: list[list[Any]] = [["wait", "amid"], ["check", 5, 2.0], ["exit", 0]]
    lab.race({"win": winner, "lose": [*loser, ["forever"]]})
    lab.wtrace("run")
    return sorted(file.name for file in (lab.latest / "lose" / "output").iterdir())


def test_a_whole_checkpoint_is_not_removed_for_one_that_is_not(lab: Lab) -> None:
    """The best check names a file that its worker was still writing when it was ended."""
    early: list[list[Any]] = [["claim", 5, 1.0, "5.pt"], ["claim", 10, 1.1, "10.pt"]]
    assert keep(lab, [*early, ["amid a save", "best.pt", 15, 1.2]]) == ["10.pt", "5.pt", "best.pt"]
    text = report(lab)
    assert "lose: best.pt may not be whole: it was written 0." in text
    assert "lose: kept 5.pt, 10.pt, best.pt" in text


def test_where_the_best_is_whole_the_others_are_removed_as_ever(lab: Lab) -> None:
    checks: list[list[Any]] = [["claim", 5, 1.0, "5.pt"], ["claim", 10, 1.2, "10.pt"], ["mark", "amid"]]
    assert keep(lab, checks) == ["10.pt"]


def test_what_may_not_be_whole_is_kept_and_keeps_the_others() -> None:
    named = [Named(5, "a.pt", judged=True), Named(10, "b.pt", judged=True), Named(15, "c.pt", judged=True)]
    torn = {"b.pt": "amid a save"}
    assert thinning("best", named, 10, [], torn.get) == Thinning(("a.pt", "b.pt", "c.pt"), (), torn)
    assert thinning("best", named, 5, [], torn.get) == Thinning(("a.pt", "b.pt"), ("c.pt",), torn)
    gone = {"b.pt": NOT_THERE}
    assert thinning("best", named, 10, [], gone.get).removed == (), "the one to be kept is not there"
    assert thinning("best", named, 5, [], gone.get) == Thinning(("a.pt",), ("b.pt", "c.pt"), {})


KILLED = Ending(at=100.0)


@pytest.mark.parametrize(
    ("modified", "ending", "named_at", "is_whole"),
    [
        (99.9, KILLED, None, False),
        (80.0, KILLED, None, True),
        (99.9, Ending(at=100.0, by_itself=True), None, True),
        (99.9, Ending(at=100.0, settled=True), None, True),
        (99.9, Ending(), None, False),
        (99.0, KILLED, 99.5, True),
        (99.8, KILLED, 99.5, False),
        (99.8, Ending(at=100.0, last_line=99.5), 99.9, False),  # the line was read later than it was written
        (30.0, Ending(at=100.0, settled=True, writing="model.pt"), None, False),
    ],
)
def test_a_file_is_whole_when_nobody_can_have_been_amid_it(
    modified: float, ending: Ending, named_at: float | None, is_whole: bool
) -> None:
    assert (doubt("model.pt", modified, ending, named_at) is None) is is_whole


def test_names_of_files_are_no_patterns_for_rsync() -> None:
    assert without(["a/b.pt", "epoch[1].pt", "x\\y"]) == (
        "--exclude=/a/b.pt",
        "--exclude=/epoch\\[1].pt",
        "--exclude=/x\\y",
    )
    assert without(["x"] * 2000) == ("--exclude=/*",)


def test_a_worker_that_runs_has_no_file_that_is_whole(lab: Lab) -> None:
    lab.race({"a": [["claim", 5, 1.0, "5.pt"], ["mark", "up"], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("up")
    race, _, _ = recall(Layout(lab.root), lab.latest.name)
    assert Wholeness(race, Layout(lab.root)).doubt("a", "5.pt") == "its worker still runs"
    lab.wtrace("stop")
    assert Wholeness(race, Layout(lab.root)).doubt("a", "5.pt") is None
    assert json.loads((lab.latest / "a" / "exit.json").read_text())["signal"] == 15
