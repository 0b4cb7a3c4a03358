"""Whole races whose workers know nothing of wtrace: their logs and files are read as they are."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from event_samples import event_file
from race_lab import Lab
from wtrace.race.events import Noticed
from wtrace.store.reader import Reader

PATTERN = r"epoch (?P<epoch>\d+) loss (?P<val_loss>\S+)"
STDOUT = f"[metrics]\nfrom = 'stdout'\npattern = '{PATTERN}'\n"
BAR = "[metrics]\nfrom = 'stdout'\npattern = 'Epoch (?P<epoch>\\d+).*loss=(?P<val_loss>[^], ]+)'\n"
CSV = "[metrics]\nfrom = 'csv'\n"


def race(
    lab: Lab, scripts: dict[str, list[list[Any]]], metrics: str, criterion: str = '"val_loss <= 0.2"'
) -> None:
    """A race to a criterion on a plain metric."""
    for name, script in scripts.items():
        lab.branch(f"try/{name}", script)
    workers = "".join(
        f'[workers.{name}]\nbranch = "try/{name}"\ncommand = ["python", "train.py"]\n' for name in scripts
    )
    (lab.root / "wtrace.toml").write_text(
        '[race]\nname = "lab"\nbase = "main"\ngrace = 1\ncheck_every = 2\nmax_epochs = 9\non_win = "stop"\n'
        f"[success]\nloss = {criterion}\n{metrics}{workers}"
    )


def printed(*losses: float, first: int = 1) -> list[list[Any]]:
    return [["print", f"epoch {epoch} loss {loss}"] for epoch, loss in enumerate(losses, first)]


def records(lab: Lab, worker: str, attempt: int = 1) -> list[dict[str, Any]]:
    path = lab.latest / worker / "attempts" / str(attempt) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def checks(lab: Lab, worker: str, attempt: int = 1) -> list[tuple[int, float]]:
    found = [each for each in records(lab, worker, attempt) if each["event"] == "check"]
    return [(each["epoch"], each["metrics"]["val_loss"]) for each in found]


def test_printed_lines_decide_a_race_at_once(lab: Lab) -> None:
    """The winner prints nothing more: nobody waits for the next epoch to begin."""
    winner = [*printed(0.9, 0.5, 0.1, 0.15), ["forever"]]
    race(lab, {"a": winner, "b": [*printed(0.9), ["print", "loss of interest"], ["forever"]]}, STDOUT)
    lab.wtrace("run")
    status = lab.status()
    assert (status["race"]["winner"], status["race"]["winner_epoch"]) == ("a", 4)
    assert checks(lab, "a") == [(2, 0.5), (4, 0.15)]
    assert [row["bad_lines"] for row in status["workers"]] == [0, 0]
    report = (lab.latest / "results" / "SUCCESS_REPORT.md").read_text()
    assert "val_loss <= 0.2" in report


def test_lines_of_json_in_the_log_count_too(lab: Lab) -> None:
    log = [["print", json.dumps({"epoch": epoch, "val_loss": 0.3 / epoch, "note": "x"})] for epoch in (1, 2)]
    race(lab, {"a": [["print", "{not json}"], *log, ["forever"]]}, "[metrics]\nfrom = 'stdout'\n")
    lab.wtrace("run")
    assert lab.status()["race"]["winner_epoch"] == 2


def test_a_criterion_may_ask_for_several_checks(lab: Lab) -> None:
    script = [*printed(0.1, 0.1, 0.1, 0.1, 0.1, 0.1), ["forever"]]
    race(lab, {"a": script}, STDOUT, '{ is = "val_loss <= 0.2", for_checks = 2 }')
    lab.wtrace("run")
    assert lab.status()["race"]["winner_epoch"] == 4
    race(lab, {}, "", "")
    (lab.root / "wtrace.toml").write_text(
        (lab.latest / "config.toml").read_text().replace("for_checks = 2", "min_checks = 3")
    )
    lab.wtrace("run")
    assert lab.status()["race"]["winner_epoch"] == 6


def test_an_epoch_of_several_csv_rows_is_judged_when_the_next_one_begins(lab: Lab) -> None:
    rows = ["epoch,step,train_loss,val_loss\n", "0,9,0.5,\n", "0,9,,0.1\n", "1,19,0.3,\n", "1,19,,0.15\n"]
    script = [["append", "logs/version_0/metrics.csv", row] for row in rows]
    script += [["mark", "written"], ["wait", "go"], ["append", "logs/version_0/metrics.csv", "2,29,0.1,\n"]]
    race(lab, {"a": [*script, ["forever"]]}, CSV + "first_epoch = 0\n")
    running = lab.start("run")
    lab.wait_for_mark("written")
    lab.wait_for(lambda: lab.worker("a")["lines"] == 1, "the first epoch to be read")
    assert lab.worker("a")["checks"] == 0
    lab.open_gate("go")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert records(lab, "a")[:2] == [
        {"event": "epoch", "epoch": 1, "metrics": {"train_loss": 0.5, "val_loss": 0.1}},
        {"event": "check", "epoch": 2, "metrics": {"train_loss": 0.3, "val_loss": 0.15}},
    ]


def test_a_file_in_folders_that_are_made_late_and_made_anew_wakes_the_race(lab: Lab) -> None:
    """Nothing else happens that the supervisor could be woken by."""
    rows = "epoch,val_loss\n1,0.9\n"
    script = [
        ["wait", "go"],
        ["append", "logs/version_0/metrics.csv", rows],
        ["wait", "again"],
        ["remove", "logs"],
    ]
    script += [["append", "logs/version_0/metrics.csv", f"{rows}2,0.1\n"], ["forever"]]
    race(lab, {"a": script}, CSV)
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a")["state"] == "running", "the worker to run")
    lab.wait_for((lab.latest / "results" / "dashboard.html").exists, "the first turn to be over")
    lab.open_gate("go")
    lab.wait_for(lambda: lab.worker("a")["lines"] == 1, "the row to be read", timeout_s=10)
    lab.open_gate("again")
    output, _ = running.communicate(timeout=20)
    assert running.returncode == 0, output


def test_the_last_epoch_is_judged_when_the_worker_ends(lab: Lab) -> None:
    rows = "epoch,step,val_loss\n1,1,0.9\n2,2,0.1"
    race(lab, {"a": [["append", "metrics.csv", rows], ["exit", 0]]}, CSV)
    lab.wtrace("run")
    assert lab.status()["race"]["winner_epoch"] == 2


@pytest.mark.parametrize("killed", range(3))
def test_a_supervisor_that_is_killed_loses_no_check_and_doubles_none(lab: Lab, killed: int) -> None:
    script: list[list[Any]] = []
    for epoch in range(1, 9):
        script += [
            ["print", f"epoch {epoch} loss {1 / epoch}"],
            ["mark", f"printed-{epoch}"],
            ["wait", f"go-{epoch}"],
        ]
    race(lab, {"a": [*script, ["exit", 0]]}, STDOUT, '"val_loss <= 0.01"')
    lab.start("run", "--detach").communicate(timeout=30)
    for epoch in range(1, 9):
        lab.wait_for_mark(f"printed-{epoch}")
        if epoch == 3 + killed:
            pid = lab.status()["supervisor"]["pid"]
            os.kill(pid, signal.SIGKILL)
            lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
            lab.open_gate(f"go-{epoch}")
            lab.open_gate(f"go-{epoch + 1}")
            lab.wait_for_mark(f"printed-{epoch + 2}")
            resumed = lab.start("run", "--resume")
        lab.open_gate(f"go-{epoch}")
    resumed.communicate(timeout=60)
    assert resumed.returncode == 1
    told = [(each["event"], each["epoch"]) for each in records(lab, "a")]
    assert told == [("check" if epoch % 2 == 0 else "epoch", epoch) for epoch in range(1, 9)]
    assert lab.worker("a")["checks"] == 4


def test_what_an_earlier_run_left_behind_is_not_this_ones(lab: Lab) -> None:
    """A file in the worktree that a run by hand wrote, to which the training appends."""
    append = "open('metrics.csv', 'a').write(row)"
    code = f"import os\nrow = '2,0.7\\n' if os.path.exists('metrics.csv') else 'epoch,val_loss\\n2,0.1\\n'\n{append}\n"
    race(lab, {"a": []}, CSV + "path = 'metrics.csv'\n")
    (lab.root / "wtrace.toml").write_text(
        (lab.root / "wtrace.toml").read_text().replace('"train.py"', f"'-c', {json.dumps(code)}")
    )
    lab.wtrace("run")
    assert checks(lab, "a") == [(2, 0.1)]
    lab.wtrace("run", expect=1)
    assert checks(lab, "a") == [(2, 0.7)]


def test_a_second_attempt_does_not_read_the_rows_of_the_first(lab: Lab) -> None:
    first: list[list[Any]] = [["append", "metrics.csv", "epoch,val_loss\n1,0.9\n2,0.8\n"], ["exit", 3]]
    race(lab, {"a": first}, CSV)
    config = (lab.root / "wtrace.toml").read_text()
    (lab.root / "wtrace.toml").write_text(config.replace("[success]", "retries = 1\n[success]"))
    lab.wtrace("run", expect=1)
    assert [each["epoch"] for each in records(lab, "a", 2)] == [1, 2]
    assert "val_loss" in records(lab, "a", 2)[0]["metrics"]
    assert len(records(lab, "a", 2)) == 2  # its own two rows, not the two of the first


def test_event_files_trainer_states_and_files_of_json_decide_races(lab: Lab, tmp_path: Path) -> None:
    written = event_file([(epoch, {"val_loss": 0.3 / epoch}) for epoch in (1, 2)])
    source = tmp_path / "events"
    source.write_bytes(written)
    state = tmp_path / "state.json"
    log = [{"epoch": 1.5, "loss": 0.4, "step": 3}, {"epoch": 2.0, "val_loss": 0.1, "step": 4}]
    state.write_text(json.dumps({"epoch": 2.0, "log_history": log}))
    lines = tmp_path / "lines"
    lines.write_text("".join(json.dumps({"epoch": n, "val_loss": 0.3 / n}) + "\n" for n in (1, 2)))
    for kind, name, given in (
        ("tensorboard", "runs/events.out.tfevents.1.host", source),
        ("hf", "checkpoint-4/trainer_state.json", state),
        ("jsonl", "logs/log.txt", lines),
    ):
        code = (
            "import os, pathlib, shutil, time\n"
            f"at = pathlib.Path(os.environ['WTRACE_OUTPUT'], '{name}')\nat.parent.mkdir()\n"
            f"shutil.copy('{given}', at)\ntime.sleep(60)\n"
        )
        path = 'path = "{output}/logs/*.txt"\n' if kind == "jsonl" else ""
        race(lab, {}, f"[metrics]\nfrom = '{kind}'\n{path}")
        worker = f'[workers.{kind}]\nbranch = "try/{kind}"\ncommand = ["python", "-c", {json.dumps(code)}]\n'
        with (lab.root / "wtrace.toml").open("a") as config:
            config.write(worker)
        lab.wtrace("run")
        assert lab.status()["race"]["winner_epoch"] == 2


def test_what_is_amiss_is_told_in_words(lab: Lab) -> None:
    scripts = {
        "zero": [*printed(0.5, 0.5, 0.5, first=0), ["exit", 0]],
        "nameless": [["print", json.dumps({"epoch": epoch, "loss": 1})] for epoch in (2, 3)],
    }
    race(lab, scripts, "")
    config = (lab.root / "wtrace.toml").read_text()
    config = config.replace(
        "[workers.zero]\n", f"[workers.zero]\nmetrics = {{ from = 'stdout', pattern = '{PATTERN}' }}\n"
    )
    config = config.replace("[workers.nameless]\n", "[workers.nameless]\nmetrics = { from = 'stdout' }\n")
    (lab.root / "wtrace.toml").write_text(config)
    lab.wtrace("run", expect=1)
    told = (lab.latest / "results" / "PARALLEL_PROGRESS.md").read_text()
    assert "first_epoch = 0" in told.replace("\\", "")
    assert "lacks val_loss" in told.replace("\\", "")


def test_what_a_source_cannot_say_is_told_before_and_in_the_race(lab: Lab) -> None:
    race(lab, {"a": [["exit", 0]]}, CSV + '[confirm]\ncommand = ["true"]\n', '"mean(accuracy) >= 0.5"')
    doubts = (
        "`loss` is judged on samples, and there are none in such a source (csv)",
        "its claims cannot be confirmed: set `checkpoint` beside `from`",
    )
    planned = lab.wtrace("run", "--dry-run").stdout
    told = lab.wtrace("run", expect=1).stdout
    for doubt in doubts:
        assert f"warning: {doubt}" in planned
        assert f"a: {doubt}" in told


def test_a_claim_names_its_checkpoint_and_is_confirmed(lab: Lab) -> None:
    script = [
        ["append", "models/1.pt", "best"],
        ["append", "metrics.csv", "epoch,val_loss\n0,0.9\n1,0.1\n"],
        ["forever"],
    ]
    code = (
        "import json, os, sys\n"
        "good = open(sys.argv[1]).read() == 'best'\n"
        "record = {'event': 'check', 'epoch': 2, 'metrics': {'val_loss': 0.1 if good else 9}}\n"
        "open(os.environ['WTRACE_METRICS'], 'a').write(json.dumps(record) + '\\n')\n"
    )
    confirm = f'[confirm]\ncommand = ["python", "-c", {json.dumps(code)}, "{{checkpoint}}"]\n'
    race(lab, {"a": script}, f'{CSV}first_epoch = 0\ncheckpoint = "models/{{epoch}}.pt"\n{confirm}')
    lab.wtrace("run")
    assert lab.status()["race"]["winner_epoch"] == 2
    assert (lab.latest / "claims" / "1" / "checkpoint.pt").read_text() == "best"


def test_a_worker_of_which_nothing_was_found_is_told_why(lab: Lab) -> None:
    race(lab, {name: [["print", "epoch: 2"], ["exit", 0]] for name in ("log", "json", "csv")}, "")
    config = (lab.root / "wtrace.toml").read_text()
    for name, metrics in (
        ("log", f"'stdout', pattern = '{PATTERN}'"),
        ("json", "'stdout'"),
        ("csv", "'csv'"),
    ):
        config = config.replace(
            f"[workers.{name}]\n", f"[workers.{name}]\nmetrics = {{ from = {metrics} }}\n"
        )
    (lab.root / "wtrace.toml").write_text(config)
    told = lab.wtrace("run", expect=1).stdout
    assert "log: no line of its log matches its pattern; nearest: 'epoch: 2', up to 'epoch'\n" in told
    assert "json: no line of its log holds an object of JSON with a metric\n" in told
    assert "csv: no file of this attempt is {output}/**/metrics.csv\n" in told


def test_a_progress_bar_counts_by_what_it_shows_when_its_line_ends(lab: Lab) -> None:
    """The first minibatch of `a` is better than all that `b` ever reaches."""
    lucky = ["\rEpoch 2/9:   0%| 0/30 [loss=0.050]", "\rEpoch 2/9:  50%| 15/30 [loss=2.000]"]
    shown = [["show", text] for text in lucky]
    scripts = {
        "a": [*shown, ["mark", "a"], ["wait", "b"], ["show", "\rEpoch 2/9: 100%| 30/30 [loss=1.000]\n"], ["mark", "c"], ["forever"]],
        "b": [["wait", "c"], ["show", "\rEpoch 2/9: 0%| 0/30 [loss=2.000]\rEpoch 2/9: 100%| 30/30 [loss=0.150]\n"], ["forever"]],
    }  # fmt: skip
    race(lab, scripts, BAR)
    running = lab.start("run")
    lab.wait_for_mark("a")
    lab.open_gate("b")
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert lab.status()["race"]["winner"] == "b"
    assert checks(lab, "a") == [(2, 1.0)]


@pytest.mark.parametrize(("code", "found"), [(0, [(2, 0.1)]), (3, [])])
def test_a_bar_that_never_ends_its_line_counts_where_the_training_ends_well(
    lab: Lab, code: int, found: list[tuple[int, float]]
) -> None:
    race(lab, {"a": [["show", "\rEpoch 2/9:  50%| 1/2 [loss=0.100]"], ["exit", code]]}, BAR)
    lab.wtrace("run", expect=1 if code else 0)
    assert checks(lab, "a") == found


@pytest.mark.parametrize("end", ["crash", "stop", "kill"])
def test_an_epoch_that_did_not_end_is_never_judged(lab: Lab, end: str) -> None:
    """It obeys SIGTERM, saves and leaves with exit code 0: that is no end of its epoch either."""
    script: list[list[Any]] = [["save_on_term"], *printed(0.9), ["print", "Epoch 1 [30/30] loss=0.900"]]
    script += [["print", "Epoch 2 [1/30] loss=0.050"], ["mark", "printed"], ["wait", "go"]]
    race(lab, {"a": [*script, ["exit", 3]]}, BAR)
    running = lab.start("run")
    lab.wait_for_mark("printed")
    lab.wait_for(lambda: lab.worker("a")["epoch"] == 1, "the first epoch to be read")
    if end == "crash":
        lab.open_gate("go")
    elif end == "stop":
        lab.wtrace("stop")
    else:
        os.kill(lab.worker("a")["pid"], signal.SIGKILL)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1, output
    assert checks(lab, "a") == []
    assert [(each["event"], each["epoch"]) for each in records(lab, "a")] == [("epoch", 1), ("epoch", 2)]
    if end == "stop":
        assert lab.worker("a")["exit"]["code"] == 0


def test_one_number_at_the_end_is_epoch_1(lab: Lab) -> None:
    metrics = "[metrics]\nfrom = 'stdout'\npattern = 'val_loss: +(?P<val_loss>\\S+)'\n"
    race(lab, {"a": [["print", "step 100 of 100"], ["print", "val_loss:   0.1979"], ["exit", 0]]}, metrics)
    config = (lab.root / "wtrace.toml").read_text()
    (lab.root / "wtrace.toml").write_text(config.replace("check_every = 2\nmax_epochs = 9", "max_epochs = 1"))
    lab.wtrace("run")
    assert checks(lab, "a") == [(1, 0.1979)]


def test_the_last_reading_is_the_last_check_whatever_its_number(lab: Lab) -> None:
    race(
        lab,
        {"a": [["print", f"epoch {n} loss {loss}"] for n, loss in ((0, 0.9), (2, 0.8), (10, 0.1))]},
        STDOUT,
    )
    lab.wtrace("run")
    assert (lab.status()["race"]["winner"], lab.status()["race"]["winner_epoch"]) == ("a", 9)
    assert records(lab, "a")[-1]["reported_as"] == 10
    told = (lab.latest / "wtrace.log").read_text() + lab.wtrace("status").stdout
    assert "its last reading has the epoch 10 and counts as its last planned check, 9" in told


def test_a_race_that_would_be_silent_says_what_would_have_been_judged(lab: Lab) -> None:
    """Its numbers are multiples of four, and somebody took them for epochs counted from 0."""
    script = [["print", f"epoch {n} loss 0.9"] for n in (4, 8, 12)]
    race(lab, {"a": [*script, ["wait", "told"], ["exit", 0]]}, STDOUT + "first_epoch = 0\n")
    config = (lab.root / "wtrace.toml").read_text()
    config = config.replace("check_every = 2\nmax_epochs = 9", "check_every = 4\nmax_epochs = 16")
    (lab.root / "wtrace.toml").write_text(config)
    lab.start("run", "--detach").communicate(timeout=30)
    told = "a: none of its epochs 4, 8, 12 is a planned check; 3, 7, 11 would have been: leave out first_epoch = 0"
    lab.wait_for(lambda: told in lab.wtrace("status").stdout, "the mend to be told while it runs")
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    resumed = lab.start("run", "--resume")
    lab.wait_for(lambda: lab.status()["supervisor"]["alive"], "another one to be there")
    lab.open_gate("told")
    output, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 1, output
    with Reader(lab.root / ".wtrace" / "wtrace.db") as reader:
        notices = [event.text for event in reader.events(lab.latest.name) if isinstance(event, Noticed)]
    assert notices.count(told.removeprefix("a: ")) == 1


def test_the_same_bytes_in_the_same_file_are_read_in_every_race(lab: Lab) -> None:
    """A training that repeats itself to the byte, and writes over what it wrote in the race before."""
    code = "open('metrics.csv', 'w').write('epoch,val_loss\\n2,0.1\\n')\n"
    race(lab, {"a": []}, CSV + "path = 'metrics.csv'\n")
    (lab.root / "wtrace.toml").write_text(
        (lab.root / "wtrace.toml").read_text().replace('"train.py"', f"'-c', {json.dumps(code)}")
    )
    for _ in range(2):
        lab.wtrace("run")
        assert checks(lab, "a") == [(2, 0.1)]


@pytest.mark.parametrize(("columns", "wrapped"), [(None, False), ("60", True)])
def test_lines_are_not_wrapped_unless_the_width_was_set(lab: Lab, columns: str | None, wrapped: bool) -> None:
    """A console of rich, which wraps at 80 columns where there is no terminal."""
    lab.env.pop("COLUMNS")
    code = "from rich.console import Console\nConsole().print('x' * 90, 'epoch 2 loss', '0.1')\n"
    race(lab, {"a": []}, STDOUT)
    env = f'env = {{ COLUMNS = "{columns}" }}\n' if columns else ""
    config = (lab.root / "wtrace.toml").read_text().replace('"train.py"', f"'-c', {json.dumps(code)}")
    (lab.root / "wtrace.toml").write_text(config + env)
    lab.wtrace("run", expect=None)
    log = (lab.latest / "a" / "training.log").read_text()
    assert (log.count("\n") > 1) == wrapped, log
    assert checks(lab, "a") == [(2, 0.1)]
