"""Whole races with scripted workers: real git, real processes, real files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from race_lab import Lab, Script

WINNER: list[list[Any]] = [
    ["save_on_term"],
    ["epoch", 1],
    ["check", 5, 1.2],
    ["wait", "go"],
    ["check", 10, 1.62],
    ["forever"],
]
LOSER: list[list[Any]] = [["save_on_term"], ["check", 5, 1.1], ["mark", "loser-runs"], ["forever"]]


def test_a_race_from_start_to_finish(lab: Lab) -> None:
    lab.race({"a": WINNER, "b": LOSER, "c": [["check", 5, 1.3], ["exit", 3]]})
    running = lab.start("run")
    lab.wait_for_mark("loser-runs")
    lab.wait_for(lambda: lab.worker("c")["state"] == "failed", "the crash to be seen")
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.survivors() == []

    status = lab.status()
    assert status["schema"] == 1
    race = status["race"]
    assert (race["state"], race["winner"], race["winner_epoch"]) == ("won", "a", 10)
    assert race["ended"] is not None
    assert not status["supervisor"]["alive"]
    states = {worker["name"]: worker["state"] for worker in status["workers"]}
    assert states == {"a": "won", "b": "terminated", "c": "failed"}
    exits = {worker["name"]: worker["exit"] for worker in status["workers"]}
    assert exits["a"] == {"code": 0, "signal": None, "known": True}
    assert exits["c"] == {"code": 3, "signal": None, "known": True}
    winner = next(worker for worker in status["workers"] if worker["name"] == "a")
    assert [criterion["met"] for criterion in winner["criteria"]] == [True, True]
    assert winner["criteria"][0]["value"] == pytest.approx(1.62)
    assert (winner["checks"], winner["lines"], winner["bad_lines"], winner["epoch"]) == (2, 3, 0, 10)
    assert (Path(winner["output"]) / "saved").exists(), "the winner was not given time to save"

    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    progress = (lab.latest / "results" / "PARALLEL_PROGRESS.md").read_text()
    assert "won" in report.splitlines()[0]
    assert "not confirmed on held-out data" in report
    assert "not confirmed on held-out data" in progress
    assert winner["commit"][:7] in report
    assert "saved and left" in lab.wtrace("logs", "a").stdout
    assert "won" in lab.wtrace("status").stdout


def test_every_line_of_the_winner_is_in_the_database(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0, 0.9, 33], ["forever"]]})
    lab.wtrace("run")
    with sqlite3.connect(lab.root / ".wtrace" / "wtrace.db") as db:
        ((record, judged),) = db.execute("SELECT record, judged FROM checks").fetchall()
        (kinds,) = zip(*db.execute("SELECT kind FROM events ORDER BY seq").fetchall(), strict=True)
    assert judged == 1
    assert len(json.loads(record)["samples"]["persistent"]) == 33
    assert kinds.index("VerdictReached") < kinds.index("WorkerStopping") < kinds.index("WorkerExited")


def test_more_workers_than_the_soft_limit_on_open_files_allows(lab: Lab) -> None:
    losers = {f"w{number}": [["forever"]] for number in range(15)}
    lab.race({**losers, "last": [["check", 5, 2.0], ["forever"]]}, race="max_parallel = 16")
    low = ["bash", "-c", 'ulimit -Sn 48; exec "$@"', "bash", *lab.command("run")]
    done = subprocess.run(
        low, cwd=lab.root, env=lab.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, lab.explain(done)
    assert {worker["state"] for worker in lab.status()["workers"]} == {"won", "terminated"}


def test_a_race_that_nobody_wins(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 1.4]], "b": [["check", 5, 1.6, 0.5]]}, race="max_epochs = 5")
    done = lab.wtrace("run", expect=1)
    assert "no winner" in done.stdout
    assert lab.status()["race"]["state"] == "no_winner"
    assert [worker["state"] for worker in lab.status()["workers"]] == ["finished", "finished"]
    assert "no winner" in (lab.latest / "results" / "FAILURE_REPORT.md").read_text()


def test_losers_that_ignore_sigterm_and_their_hidden_children_are_gone(lab: Lab) -> None:
    stubborn = [["ignore_term"], ["child"], ["child"], ["mark", "ready"], ["forever"]]
    lab.race({"a": [["wait", "ready"], ["check", 5, 2.0], ["forever"]], "b": stubborn})
    lab.wtrace("run")
    assert lab.survivors() == []
    assert lab.worker("b")["exit"] == {"code": None, "signal": signal.SIGKILL, "known": True}


def test_only_planned_epochs_are_judged_and_only_once(lab: Lab) -> None:
    lab.race(
        {"a": [["check", 3, 9.0], ["check", 0, 9.0], ["check", 5, 1.0], ["check", 5, 9.0], ["check", 7, 9.0]]}
    )
    lab.wtrace("run", expect=1)
    worker = lab.worker("a")
    assert (worker["checks"], worker["lines"]) == (1, 5)


def test_a_check_out_of_order_is_still_the_first_of_its_epoch(lab: Lab) -> None:
    lab.race({"a": [["check", 10, 1.0], ["check", 5, 2.0], ["forever"]]})
    lab.wtrace("run")
    assert lab.status()["race"]["winner_epoch"] == 5


def test_bad_metrics_are_counted_and_nobody_dies_of_them(lab: Lab) -> None:
    bad: list[list[Any]] = [
        ["raw", "not json\n"],
        ["bytes", list(b'{"event": "epoch", "epoch": 1, "metrics": {"x\xff": 1}}\n')],
        ["raw", '{"event": "epoch", "epoch": true, "metrics": {}}\n'],
        ["raw", "x" * 1_100_000 + "\n"],
        ["raw", "\n"],
        ["raw", '{"event": "of-tomorrow", "epoch": 1}\n'],
        ["check", 5, True],
        ["raw", '{"event": "check", "epoch": 10, "metrics": {"val_score": 1e999}}\n'],
        ["check", 15, 2.0, 0.9, 20],
        ["raw", '{"event": "epoch", "ep'],
    ]
    lab.race({"a": [*bad, ["forever"]]})
    lab.wtrace("run")
    worker = lab.worker("a")
    assert lab.status()["race"]["winner_epoch"] == 15
    assert worker["lines"] == 8
    assert worker["bad_lines"] == 5  # the torn last line among them
    assert "JSON" in worker["note"]


def test_samples_with_other_ids_do_not_count(lab: Lab) -> None:
    other = '{"event": "check", "epoch": 10, "samples": {"id": [7], "persistent": [9], "transient": [1], "accuracy": [1]}}\n'
    lab.race({"a": [["check", 5, 1.0], ["raw", other], ["exit", 0]]})
    lab.wtrace("run", expect=1)
    worker = lab.worker("a")
    assert (worker["checks"], worker["bad_lines"]) == (1, 1)
    assert "ids" in worker["note"]


def test_a_worker_without_ids_cannot_win_where_others_have_them_and_is_told(lab: Lab) -> None:
    """Samples of its own choice would beat those that all are judged on."""
    samples = {"persistent": [9.0] * 25, "transient": [1.0] * 25, "accuracy": [1.0] * 25}
    own = json.dumps({"event": "check", "epoch": 5, "samples": samples}) + "\n"
    lab.race(
        {
            "a": [["wait", "first"], ["raw", own], ["mark", "sent"], ["forever"]],
            "b": [["check", 5, 1.0], ["wait", "sent"], ["check", 10, 1.6], ["forever"]],
        },
    )
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("b").get("checks"), "the first check to be judged")
    lab.open_gate("first")
    output, _ = running.communicate(timeout=60)
    assert lab.status()["race"]["winner"] == "b", output
    assert "a: its samples carry no ids, and those of b do" in output
    assert "a check at epoch 5 does not count: its samples carry no ids" in output
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert "**not comparable, and not counted**: `a`, whose samples carry no ids" in report
    assert json.loads(lab.wtrace("replay", "--json").stdout)["winner"] == "b"


def test_where_nobody_sends_ids_everybody_may_win_and_the_report_says_so(lab: Lab) -> None:
    samples = {"persistent": [9.0] * 25, "transient": [1.0] * 25, "accuracy": [1.0] * 25}
    own = json.dumps({"event": "check", "epoch": 5, "samples": samples}) + "\n"
    lab.race({"a": [["raw", own], ["forever"]]})
    lab.wtrace("run")
    assert lab.status()["race"]["winner"] == "a"
    assert "samples carry no ids" in (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()


def test_a_second_race_is_told_who_runs(lab: Lab) -> None:
    lab.race({"a": [["mark", "up"], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("up")
    refused = lab.wtrace("run", expect=2)
    assert lab.latest.name in refused.stderr
    assert lab.status()["race"]["state"] == "running"
    lab.wtrace("stop")
    assert lab.status()["race"]["state"] == "stopped"


def test_stopping_one_worker_leaves_the_other_in_the_race(lab: Lab) -> None:
    lab.race(
        {
            "a": [["save_on_term"], ["mark", "up"], ["forever"]],
            "b": [["wait", "go"], ["check", 5, 2.0], ["forever"]],
        }
    )
    running = lab.start("run")
    lab.wait_for_mark("up")
    lab.wtrace("stop", "a")
    assert lab.worker("a")["state"] == "stopped"
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.status()["race"]["winner"] == "b"


def test_whoever_stops_a_winner_that_settles_gets_an_answer_when_it_has_ended(lab: Lab) -> None:
    """It is told as `won` while it still lives; here for the whole grace."""
    winner: Script = [["ignore_term"], ["check", 5, 2.0], ["forever"]]
    lab.race({"a": winner, "b": [["ignore_term"], ["forever"]]}, race='on_win = "settle"')
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("a")["state"] == "won", "the verdict")
    assert lab.worker("a")["exit"] is None
    assert "a: won" in lab.wtrace("stop", "a").stdout
    assert lab.worker("a")["exit"]["signal"] == signal.SIGKILL


def test_a_race_that_another_command_stops_ends_with_1(lab: Lab) -> None:
    lab.race({"a": [["mark", "up"], ["forever"]]})
    running = lab.start("run")
    lab.wait_for_mark("up")
    lab.wtrace("stop")
    running.communicate(timeout=60)
    assert running.returncode == 1
    assert lab.status()["race"]["state"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_without_a_terminal_stops_the_race(lab: Lab, number: signal.Signals) -> None:
    lab.race({"a": [["save_on_term"], ["mark", "up"], ["forever"]]})
    running = lab.start("run")
    lab.wait_for_mark("up")
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert lab.survivors() == []
    assert lab.worker("a")["state"] == "stopped"


def test_the_viewer_may_die_and_the_race_goes_on(lab: Lab) -> None:
    lab.race({"a": [["mark", "up"], ["wait", "go"], ["check", 5, 2.0], ["forever"]]})
    running = lab.start("run")
    lab.wait_for_mark("up")
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert lab.status()["race"]["state"] == "running"
    assert lab.status()["supervisor"]["alive"]
    lab.open_gate("go")
    lab.wait_for(lambda: lab.status()["race"]["ended"], "the race to end by itself")
    assert lab.status()["race"]["winner"] == "a"


def test_a_race_survives_its_supervisor(lab: Lab) -> None:
    steps: list[list[Any]] = [
        ["mark", "up"],
        ["check", 5, 1.0],
        ["wait", "go"],
        ["check", 10, 2.0],
        ["exit", 7],
    ]
    lab.race({"a": steps, "b": LOSER})
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("a")["checks"] == 1, "the first check")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    assert lab.status()["race"]["state"] == "interrupted"
    assert lab.worker("b")["state"] == "running"
    pid = lab.worker("b")["pid"]
    lab.open_gate("go")  # the winning line, and the exit, come while nobody listens
    lab.wait_for(lambda: lab.worker("a")["exit"], "the exit to be written")
    lab.wtrace("run", "--resume")
    assert lab.status()["race"]["winner"] == "a"
    assert lab.worker("a")["exit"] == {"code": 7, "signal": None, "known": True}
    assert lab.worker("a")["checks"] == 2
    assert (lab.worker("b")["state"], lab.worker("b")["attempt"]) == ("terminated", 1)
    assert not Path(f"/proc/{pid}").exists()


def test_a_training_that_lost_its_numbers_frees_its_place_and_wins_by_no_repetition(lab: Lab) -> None:
    """The supervisor dies in between; what was lost before is still lost for the next one."""
    nan = '{"event": "epoch", "epoch": 6, "metrics": {"train_loss": NaN}}\n'
    huge = nan.replace("NaN", "1e999")  # read as infinite
    repeats: list[list[Any]] = [
        ["check", 5, 2.0],
        ["raw", nan],
        ["mark", "lost"],
        ["wait", "go"],
        ["check", 10, 2.0],
        ["check", 15, 2.0],
    ]
    lab.race(
        {
            "gone": [["raw", huge], ["raw", huge], ["raw", huge], ["forever"]],
            "repeats": repeats,
        },
        race='on_nan = "stop"\nmax_parallel = 1',
        extra='held = { is = "val_loss <= 0.5", for_checks = 3 }',
    )
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("lost")
    lab.wait_for(lambda: lab.worker("repeats")["lines"] == 2, "its lines")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    lab.open_gate("go")
    lab.wtrace("run", "--resume", expect=1)
    rows = {row["name"]: row for row in lab.status()["workers"]}
    assert (rows["gone"]["state"], rows["gone"]["exit"]["signal"]) == ("failed", 15)
    assert "train_loss is inf in 3 reports running" in rows["gone"]["note"]
    assert (rows["repeats"]["state"], rows["repeats"]["checks"]) == ("finished", 1)
    assert "does not count: train_loss is not finite since epoch 6" in rows["repeats"]["note"]
    assert json.loads(lab.wtrace("replay", "--json").stdout)["winner"] is None


def test_resuming_is_refused_where_there_is_nothing_to_resume(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    assert "no race" in lab.wtrace("run", "--resume", expect=2).stderr
    lab.wtrace("run")
    assert "has ended" in lab.wtrace("run", "--resume", expect=2).stderr


def test_a_crash_is_retried_as_asked_and_the_output_persists(lab: Lab) -> None:
    lab.race({"a": [["epoch", 1], ["exit", 1]]}, race="retries = 1")
    lab.wtrace("run", expect=1)
    worker = lab.worker("a")
    assert (worker["state"], worker["attempt"], worker["lines"]) == ("failed", 2, 2)


def test_a_paused_worker_halts_and_goes_on(lab: Lab) -> None:
    lab.race({"a": [["mark", "up"], ["wait", "go"], ["check", 5, 2.0], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("up")
    lab.wtrace("pause", "a")
    stat = Path(f"/proc/{lab.worker('a')['pid']}/stat")
    lab.wait_for(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", "the process to halt")
    lab.open_gate("go")
    assert lab.worker("a")["state"] == "paused"
    assert lab.worker("a")["checks"] == 0
    lab.wtrace("unpause", "a")
    lab.wait_for(lambda: lab.status()["race"]["ended"], "the race to end")
    assert lab.status()["race"]["winner"] == "a"


def test_run_json_prints_one_object_and_nothing_else(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    done = lab.wtrace("run", "--json")
    assert json.loads(done.stdout)["race"]["winner"] == "a"


def test_options_change_the_plan(lab: Lab) -> None:
    lab.race({"a": [["check", 3, 2.0]], "b": [["check", 3, 2.0]]})
    lab.wtrace("run", "--check-every", "3", "--max-epochs", "6", "--worker", "b")
    status = lab.status()
    assert [(worker["name"], worker["max_epochs"]) for worker in status["workers"]] == [("b", 6)]
    assert status["race"]["winner"] == "b"


def test_a_dry_run_starts_nothing_and_makes_nothing(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    done = lab.wtrace("run", "--dry-run")
    assert "try/a" in done.stdout
    assert "WTRACE_CHECK_EVERY=5" in done.stdout
    assert not (lab.root / ".wtrace").exists()
    assert not (lab.root.parent / "repo-worktrees").exists()


def test_nothing_is_started_without_trust(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    del lab.env["WTRACE_TRUST"]
    assert "wtrace trust" in lab.wtrace("run", expect=2).stderr
    assert not (lab.root / ".wtrace").exists()
    lab.wtrace("trust", "--yes")
    lab.wtrace("run")


def test_commands_work_from_a_subfolder_and_from_a_worktree(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.wtrace("run")
    (lab.root / "deep").mkdir()
    for folder in (lab.root / "deep", lab.root.parent / "repo-worktrees" / "a"):
        done = subprocess.run(
            lab.command("status"), cwd=folder, env=lab.env, capture_output=True, text=True, check=True
        )
        assert "won" in done.stdout


def test_status_without_a_race(lab: Lab) -> None:
    assert "no race" in lab.wtrace("status").stdout
    assert lab.status() == {"schema": 1, "race": None, "workers": []}


def test_clean_keeps_what_a_worker_left_in_its_worktree(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]], "b": [["exit", 0]]})
    lab.wtrace("run")
    worktrees = lab.root.parent / "repo-worktrees"
    (worktrees / "a" / "notes.txt").write_text("mine")
    done = lab.wtrace("clean")
    assert (worktrees / "a" / "notes.txt").read_text() == "mine"
    assert not (worktrees / "b").exists()
    assert "notes.txt" in done.stdout


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("[race]\nname = 'x'\nchek_every = 5\n", "check_every"),
        ("[race]\nname = '../x'\n", "race.name"),
        ("this is not toml", "line 1"),
    ],
)
def test_a_mistake_in_the_config_is_one_clear_message(lab: Lab, broken: str, says: str) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    (lab.root / "wtrace.toml").write_text(broken)
    done = lab.wtrace("run", expect=2)
    assert says in done.stderr
    assert not (lab.root / ".wtrace").exists()


def test_a_script_that_a_branch_does_not_have_is_found_before_anything_starts(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    config = (lab.root / "wtrace.toml").read_text().replace("train.py", "trian.py")
    (lab.root / "wtrace.toml").write_text(config)
    assert "trian.py" in lab.wtrace("run", expect=2).stderr
    assert lab.status()["race"] is None


def test_outside_a_repo_there_is_one_clear_message(lab: Lab, tmp_path: Path) -> None:
    done = subprocess.run(
        lab.command("status"), cwd=tmp_path, env=lab.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "not a git repository" in done.stderr


@pytest.mark.parametrize(
    "words", [["bogus"], ["run", "--max-epochs", "x"], ["run", "--check-every", "0"], ["logs"]]
)
def test_a_command_line_that_makes_no_sense_is_told_with_exit_code_2(lab: Lab, words: list[str]) -> None:
    done = lab.wtrace(*words, expect=2)
    assert done.stderr.startswith("error: ")
    assert "--help" in done.stderr


def test_a_race_ends_with_its_pictures_and_a_report_that_shows_them(lab: Lab) -> None:
    lab.env["WTRACE_FIGURES"] = "on"
    lab.race({"a": [["check", 0, 1.0], ["check", 5, 1.2], ["check", 10, 1.7], ["forever"]], "b": LOSER})
    lab.wtrace("run")
    results = lab.latest / "results"
    report = (results / "SUCCESS_REPORT.md").read_text()
    for name in (
        "SUCCESS_VISUALIZATION",
        "attention_ratio_progression",
        "distribution_separation",
        "race_timeline",
    ):
        assert (results / "success_viz" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"success_viz/{name}.png" in report


def hybrid_race(lab: Lab, script_of_a: str, script_of_b: str) -> None:
    """Two workers that both fail, and a hybrid of their branches: each adds or changes `idea` in its own way."""
    lab.race({"a": [["check", 5, 1.1], ["exit", 0]], "b": [["check", 5, 1.2], ["exit", 0]]})
    for name, idea in (("a", script_of_a), ("b", script_of_b)):
        lab.git("switch", "--quiet", f"try/{name}")
        # The script is the same in both, so that it merges: what differs is the file that the branch is about.
        path, _, content = idea.partition("=")
        (lab.root / path).write_text(content)
        lab.git("add", path)
        lab.git("commit", "--quiet", "-m", f"idea of {name}")
    lab.git("switch", "--quiet", "main")
    config = (lab.root / "wtrace.toml").read_text()
    both = '[workers.both]\nbranch = "try/both"\ncommand = ["python", "both.py"]\ncombines = ["a", "b"]\n'
    (lab.root / "wtrace.toml").write_text(config + both)


# What the hybrid runs comes from one branch and needs a file of the other.
BOTH = """both.py=import json, os, pathlib
assert pathlib.Path("needed").exists()
samples = {"id": list(range(20)), "persistent": [2.0] * 20, "transient": [1.0] * 20, "accuracy": [0.9] * 20}
with open(os.environ["WTRACE_METRICS"], "a") as file:
    file.write(json.dumps({"event": "check", "epoch": 5, "samples": samples}) + "\\n")
"""


def same_script(lab: Lab) -> None:
    """The scripted trainings differ between the branches; let the hybrid not stumble over that."""
    lab.git("switch", "--quiet", "try/b")
    lab.git("checkout", "--quiet", "try/a", "--", "script.json")
    lab.git("commit", "--quiet", "--allow-empty", "-m", "the script of a")
    lab.git("switch", "--quiet", "main")


def test_when_nobody_wins_the_hybrid_is_made_of_the_branches_and_raced(lab: Lab) -> None:
    hybrid_race(lab, BOTH, "needed=1")
    same_script(lab)
    lab.wtrace("run")
    status = lab.status()
    assert status["race"]["winner"] == "both"
    assert {worker["name"]: worker["state"] for worker in status["workers"]} == {
        "a": "finished",
        "b": "finished",
        "both": "won",
    }
    both = lab.worker("both")
    assert both["commit"] == lab.git("rev-parse", "try/both").strip()
    assert "nobody met every criterion" in (lab.latest / "results" / "PARALLEL_PROGRESS.md").read_text()


def test_a_hybrid_whose_branches_conflict_ends_the_race_with_the_way_on(lab: Lab) -> None:
    hybrid_race(lab, "needed=one\n", "needed=other\n")
    same_script(lab)
    lab.wtrace("run", expect=1)
    both = lab.worker("both")
    assert both["state"] == "skipped"
    assert "needed" in both["note"]
    assert "git" in both["note"]
    assert lab.status()["race"]["state"] == "no_winner"


def test_a_race_may_start_as_soon_as_the_one_before_was_stopped(lab: Lab) -> None:
    """Its supervisor still writes the report, here for two seconds."""
    lab.race({"a": [["mark", "up"], ["forever"]]})
    lab.env["WTRACE_TEST_POINTS"] = "before-close:1:2.0"
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("up")
    lab.wtrace("stop")
    first = lab.latest.name
    lab.wtrace("run", "--detach")
    assert lab.latest.name != first
    lab.wtrace("stop")


def test_a_race_that_only_closes_is_waited_for(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.env["WTRACE_TEST_POINTS"] = "before-close:1:2.0"
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.status()["race"] and lab.status()["race"]["ended"], "the race to end")
    assert lab.status()["supervisor"]["alive"]
    del lab.env["WTRACE_TEST_POINTS"]
    lab.wtrace("run")
    assert len(list((lab.root / ".wtrace" / "races").iterdir())) == 2


def test_what_a_training_does_just_now_stands_in_its_row_from_any_terminal(lab: Lab) -> None:
    said = '{"event": "progress", "text": "preparing: step 40/60"}\n'
    lab.race({"a": [["raw", said], ["wait", "go"], ["check", 5, 2.0]]})
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: "preparing: step 40/60" in lab.wtrace("status").stdout, "its row to say so")
    lab.open_gate("go")
    lab.wait_for(lambda: lab.status()["race"]["state"] == "won", "the verdict")
    assert "preparing" not in lab.wtrace("status").stdout
    assert lab.worker("a")["bad_lines"] == 0
