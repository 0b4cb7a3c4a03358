"""Whole races won by trainings that print first and save afterwards: what lies on the disk when the race is over."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from chaos_lab import LONG
from saving_lab import METRICS, WINS_AT, epoch_of_whole, write_race

if TYPE_CHECKING:
    from race_lab import Lab


def exit_of(lab: Lab, worker: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab.latest / worker / "exit.json").read_text())
    return found


def events(lab: Lab, kind: str) -> list[dict[str, Any]]:
    code = f"""
import sqlite3, json
rows = sqlite3.connect({str(lab.root / ".wtrace" / "wtrace.db")!r}).execute(
    "select data from events where kind = ? order by rowid", ({kind!r},))
print(json.dumps([json.loads(row[0]) for row in rows]))
"""
    found: list[dict[str, Any]] = json.loads(lab.python(code))
    return found


SAVED = ["model.pt"]
WAYS = {
    "in_place": SAVED,
    "several": ["model.pt", "optimizer.pt", "scheduler.pt"],
    "by_child": SAVED,
    "by_thread": SAVED,
    "beside_logs": SAVED,
}
MORE_WAYS = {"by_rename": SAVED, "computed": SAVED, "opened_early": SAVED, "never": []}
if LONG:
    WAYS |= MORE_WAYS


@pytest.mark.parametrize("way", WAYS)
def test_the_winner_keeps_what_it_was_about_to_save(lab: Lab, way: str) -> None:
    checkpoint = 'checkpoint = "model.pt"\n' if WAYS[way] else ""
    # A save that may go on from one reading to the next is of an unknown epoch.
    epoch_s = 2.0 if way == "by_thread" else 0.3
    write_race(lab, way, epoch_s=epoch_s, metrics=METRICS + checkpoint)
    lab.wtrace("run")
    status = lab.status()
    assert (status["race"]["winner"], status["race"]["winner_epoch"]) == ("a", WINS_AT)
    assert [worker["state"] for worker in status["workers"]] == ["won", "terminated"]
    output = lab.latest / "a" / "output"
    saved = {name: epoch_of_whole(output / name) for name in WAYS[way]}
    assert all(epoch is not None and epoch >= WINS_AT for epoch in saved.values()), saved
    frozen = lab.latest / "claims" / "1" / "checkpoint.pt"
    assert not frozen.exists() or epoch_of_whole(frozen) == WINS_AT
    assert frozen.exists() or way == "never"
    assert exit_of(lab, "b")["at"] < exit_of(lab, "a")["at"], "the loser was told first"
    assert status["workers"][0]["note"] is None
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert ("or later" in report) == (status["workers"][0]["epoch"] > WINS_AT)
    assert not lab.survivors()


def test_a_save_that_outlasts_settle_is_waited_for_as_long_as_it_grows(lab: Lab) -> None:
    write_race(lab, "in_place", save_s=2.5, race="settle = 0.5")
    lab.wtrace("run")
    assert epoch_of_whole(lab.latest / "a" / "output" / "model.pt") == WINS_AT
    began, (ended,) = events(lab, "WorkerSettling")[0]["at"], events(lab, "WorkerSettled")
    assert ended["at"] > began + 0.5
    assert ended["file"] is None


def test_no_save_begins_between_the_last_look_and_the_signal(lab: Lab) -> None:
    """However long that takes: here so long that the next save would be half done."""
    write_race(lab, "in_place", epoch_s=0.3, save_s=0.8)
    lab.env["WTRACE_TEST_POINTS"] = "before-signal:2:0.7"  # the first is the loser's
    lab.wtrace("run")
    assert epoch_of_whole(lab.latest / "a" / "output" / "model.pt") is not None


def test_a_winner_that_hangs_in_its_save_is_ended_and_told_with_the_file(lab: Lab) -> None:
    write_race(lab, "hangs", race="settle = 0.5")
    lab.wtrace("run")
    winner = lab.worker("a")
    assert winner["state"] == "won"
    assert "model.pt" in winner["note"]
    assert "torn" in winner["note"]
    assert "model.pt" in (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert not lab.survivors()


def test_a_winner_that_is_killed_in_its_last_save_is_told_with_the_file(lab: Lab) -> None:
    """It saves when it hears SIGTERM, as it should, but takes longer than its grace."""
    write_race(lab, "at_sigterm", save_s=30.0, race='on_win = "stop"')
    lab.wtrace("run")
    winner = lab.worker("a")
    assert (winner["state"], winner["exit"]["signal"]) == ("won", signal.SIGKILL)
    assert "killed while it wrote model.pt" in winner["note"]
    assert "killed while it wrote" in (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()


def test_the_race_says_that_the_winner_saves_while_it_does(lab: Lab) -> None:
    write_race(lab, "hangs")
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("a")["note"] == "saving model.pt", "the save to be told")
    status = lab.status()
    assert (status["race"]["state"], status["race"]["ended"]) == ("won", None)
    assert lab.worker("a")["state"] == "won"
    assert "won, saving" in lab.wtrace("status").stdout
    results = lab.latest / "results"
    pages = [results / "PARALLEL_PROGRESS.md", results / "dashboard.html"]
    lab.wait_for(lambda: all("won, saving" in page.read_text() for page in pages), "the pages to say so")
    lab.wtrace("stop")  # a person's word counts at once
    lab.wait_for(lambda: lab.status()["race"]["ended"], "the race to end")
    assert lab.worker("a")["state"] == "won"


def test_a_supervisor_that_is_killed_meanwhile_loses_nothing_of_the_save(lab: Lab) -> None:
    write_race(lab, "by_thread", save_s=1.5, epoch_s=2.0)
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("a")["note"] == "saving model.pt", "the save to be told")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    lab.wtrace("run", "--resume")
    assert epoch_of_whole(lab.latest / "a" / "output" / "model.pt") is not None
    assert len(events(lab, "WorkerSettling")) == 1
    assert lab.worker("a")["state"] == "won"


def test_who_goes_on_past_its_last_planned_check_is_settled_and_ended(lab: Lab) -> None:
    write_race(lab, "in_place", race="", epochs=400)
    config = lab.root / "wtrace.toml"
    config.write_text(
        config.read_text().replace("max_epochs = 400", "max_epochs = 3").replace("<= 0.2", "<= 0.01")
    )
    lab.wtrace("run", expect=1)
    first, second = lab.status()["workers"]
    assert (first["state"], second["state"]) == ("finished", "finished")
    assert "past its last planned check, epoch 3" in first["note"]
    assert (epoch_of_whole(lab.latest / "a" / "output" / "model.pt") or 0) >= 3
    assert lab.status()["race"]["state"] == "no_winner"


def test_a_training_with_lines_of_wtraces_own_may_ask_for_it(lab: Lab) -> None:
    """As the integrations do: the frameworks call them before they save."""
    start = json.dumps({"event": "start", "info": {"on_win": "settle"}}) + "\n"
    saves: list[list[Any]] = [["wait", "go"], ["append", "model.pt", "whole"], ["exit", 0]]
    winner: list[list[Any]] = [["raw", start], ["check", 5, 1.6], *saves]
    lab.race({"a": winner, "b": [["check", 5, 1.2], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("b")["exit"], "the loser to be gone")
    assert (lab.worker("a")["state"], lab.worker("a")["exit"]) == ("won", None)
    lab.open_gate("go")
    lab.wait_for(lambda: lab.status()["race"]["ended"], "the race to end")
    assert lab.worker("a")["exit"]["code"] == 0
    assert (lab.latest / "a" / "output" / "model.pt").read_text() == "whole"


@pytest.mark.parametrize("on_win", ["stop", "finish"])
def test_the_winner_may_be_stopped_at_once_or_let_run_to_its_end(lab: Lab, on_win: str) -> None:
    write_race(lab, "in_place", epochs=4, race=f'on_win = "{on_win}"')
    lab.wtrace("run")
    assert exit_of(lab, "a")["code"] == (0 if on_win == "finish" else None)
    assert on_win == "stop" or epoch_of_whole(lab.latest / "a" / "output" / "model.pt") == 4
    assert events(lab, "WorkerSettling") == []
    assert [worker["state"] for worker in lab.status()["workers"]] == ["won", "terminated"]
