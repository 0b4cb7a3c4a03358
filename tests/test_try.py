"""`wtrace try`: a log, a CSV or an event file, read as a race would read it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from event_samples import event_file
from race_lab import Lab
from test_json_contract import example, printed, shape
from wtrace.config import load

LOG = "".join(
    f"step {n}: train loss {5 - n / 1000}, val loss {4 - n / 500}\nsaving\n" for n in range(0, 1001, 250)
)
CONFIG = r"""
[race]
name = "r"
check_every = 250
max_epochs = 1000
[success]
val = "val_loss <= 3"
train = { is = "train_loss <= 4.5", for_checks = 2 }
[metrics]
from = "stdout"
pattern = 'step (?P<step>\d+): train loss (?P<train_loss>\S+), val loss (?P<val_loss>\S+)'
epoch_key = "step"
[workers.a]
branch = "a"
command = ["python", "train.py"]
"""


def tried(lab: Lab, *words: str) -> Any:
    return json.loads(lab.wtrace("try", *words, "--json").stdout)


def test_by_the_config(lab: Lab) -> None:
    (lab.root / "wtrace.toml").write_text(CONFIG)
    (lab.root / "train.log").write_text(LOG)
    found = tried(lab, "train.log")
    assert (found["worker"], found["proposed"], found["lines"], found["matched"]) == ("a", False, 10, 5)
    assert found["matches"][0]["line"] == "step 0: train loss 5.0, val loss 4.0"
    assert {each["epoch"]: each["judged"] for each in found["epochs"]} == {
        0: False, 250: True, 500: True, 750: True, 1000: True,
    }  # fmt: skip
    assert found["claims_at"] == 750  # val holds from 500 on, train at 500 for the first time
    assert [each["met"] for each in found["epochs"][2]["criteria"]] == [True, True]
    told = lab.wtrace("try", "train.log").stdout
    assert "4 of 4 planned checks would be judged (every 250 up to step 1000)" in told
    assert "it would have claimed success at 750" in told
    assert "✓ train: 4, asked for ≤ 4.5" in told


def test_the_json_is_what_the_page_shows(lab: Lab) -> None:
    (lab.root / "wtrace.toml").write_text(CONFIG)
    (lab.root / "train.log").write_text(LOG.partition("saving\n")[2])  # from the first judged epoch on
    assert shape(printed(lab, "try", "train.log", "--json")) == shape(example("json.md", "## `wtrace try"))


def test_a_pattern_that_matches_nothing_is_told_with_the_nearest_line_and_one_that_does(lab: Lab) -> None:
    (lab.root / "wtrace.toml").write_text(CONFIG.replace(", val loss", " valid loss"))
    (lab.root / "train.log").write_text(LOG)
    told = lab.wtrace("try", "train.log").stdout
    assert "no line of its log matches its pattern" in told
    assert "up to 'step 1000: train loss 4.0, val'" in told.replace("\n  ", " ")
    assert (
        r"pattern = 'step (?P<step>\d+): train loss (?P<train_loss>\S+), val loss (?P<val_loss>\S+)'" in told
    )
    found = tried(lab, "train.log")
    assert (found["problem"], found["proposed"]) == ("no line of its log matches its pattern", True)
    assert found["nearest"]["line"].startswith("step ")
    assert found["claims_at"] == 750  # as proposed


def test_without_a_config_and_without_a_repo(tmp_path: Path, lab: Lab) -> None:
    (tmp_path / "train.log").write_text(LOG)
    for folder in (tmp_path, lab.root):
        done = subprocess.run(
            [*lab.command("try", str(tmp_path / "train.log"))],
            cwd=folder, env={**lab.env, "COLUMNS": "80"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert 'epoch_key = "step"' in done.stdout
        assert "5 steps read; without a config, which of them are judged is open" in done.stdout
        too_wide = [line for line in done.stdout.splitlines() if len(line) > 80]
        assert all(line.startswith("  pattern = ") for line in too_wide)  # to be copied


def test_what_comes_through_a_pipe(lab: Lab) -> None:
    done = subprocess.run(
        lab.command("try", "-", "--json"),
        cwd=lab.root, env=lab.env, input=LOG, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["file"], found["matched"]) == ("standard input", 5)


def test_a_csv_file(lab: Lab) -> None:
    (lab.root / "logs").mkdir()
    (lab.root / "logs" / "metrics[1].csv").write_text("iteration,lr,val_loss\n10,0.1,0.5\n20,0.1,0.4\n")
    found = tried(lab, "logs/metrics[1].csv")
    assert found["toml"].splitlines()[1:] == [
        'from = "csv"',
        'path = "logs/metrics[1].csv"',
        'epoch_key = "iteration"',
    ]
    assert [(each["epoch"], each["metrics"]["val_loss"]) for each in found["epochs"]] == [
        (10, 0.5),
        (20, 0.4),
    ]


def test_an_event_file(lab: Lab) -> None:
    name = "events.out.tfevents.1700000000.box.1.0"
    (lab.root / "runs" / "a").mkdir(parents=True)
    (lab.root / "runs" / "a" / name).write_bytes(
        event_file([(1, {"loss/val": 0.5}), (2, {"loss/val": 0.25})])
    )
    found = tried(lab, f"runs/a/{name}")
    assert found["toml"].splitlines()[1:] == ['from = "tensorboard"', 'path = "runs/a/events.out.tfevents.*"']
    assert [each["metrics"] for each in found["epochs"]] == [{"loss/val": 0.5}, {"loss/val": 0.25}]


def test_a_damaged_event_file_is_told(lab: Lab) -> None:
    (lab.root / "events.out.tfevents.1").write_bytes(b"\0\x01 no record" * 9)
    found = tried(lab, "events.out.tfevents.1")
    assert found["problem"] == "nothing in it looks like metrics"
    assert found["notes"] == ["its metrics: events.out.tfevents.1 is damaged: no record begins at byte 0"]


def test_a_trainers_state(lab: Lab) -> None:
    history = [{"epoch": 1.0, "step": 10, "eval_loss": 0.5}, {"epoch": 2.0, "step": 20, "eval_loss": 0.4}]
    (lab.root / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    found = tried(lab, "trainer_state.json")
    assert found["metrics"]["from"] == "hf"
    assert [each["metrics"]["eval_loss"] for each in found["epochs"]] == [0.5, 0.4]


def test_lines_of_the_worker_protocol(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 1.0], ["raw", "{torn\n"], ["check", 10, 2.0], ["epoch", 11]]})
    lab.wtrace("run")
    found = tried(lab)
    assert (found["worker"], found["proposed"], found["claims_at"]) == ("a", False, 10)
    assert (found["lines"], found["bad_lines"]) == (4, 1)
    assert [each["epoch"] for each in found["epochs"] if each["judged"]] == [5, 10]
    assert tried(lab, str(lab.latest / "a" / "metrics.jsonl"))["claims_at"] == 10


def test_samples_are_the_same_at_every_check(lab: Lab) -> None:
    lab.race({"a": []})
    columns = {"persistent": [2, 2], "transient": [1, 1], "accuracy": [1, 1]}
    checks = [
        {"event": "check", "epoch": epoch, "samples": {"id": ids, **columns}}
        for epoch, ids in ((5, [1, 2]), (10, [1, 3]), (15, [4, 4]), (20, [2, 1]))
    ]
    (lab.root / "m.jsonl").write_text("".join(json.dumps(check) + "\n" for check in checks))
    found = tried(lab, "m.jsonl")
    assert [each["epoch"] for each in found["epochs"] if each["judged"]] == [5, 20]
    assert found["bad_lines"] == 2
    assert "its sample ids are not those of the first check: the check at epoch 10" in found["notes"]


def test_the_newest_log_of_a_worker_by_the_config_as_it_is_now(lab: Lab) -> None:
    said = [["print", f"step {n}: train loss 4, val loss {4 - n / 500}"] for n in range(250, 1001, 250)]
    for name in ("a", "b"):
        lab.branch(f"try/{name}", said)
    workers = CONFIG.partition("[workers.a]")[0] + "".join(
        f'[workers.{name}]\nbranch = "try/{name}"\ncommand = ["python", "train.py"]\n' for name in ("a", "b")
    )
    (lab.root / "wtrace.toml").write_text(workers.replace(", val loss", " valid loss"))
    lab.wtrace("run", expect=1)
    (lab.root / "wtrace.toml").write_text(workers)
    assert (tried(lab, "--worker", "b")["claims_at"], tried(lab, "--worker", "b")["worker"]) == (500, "b")
    assert tried(lab)["matched"] == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nope.log"], "there is no file nope.log"),
        (["."], ". is a folder"),
        ([], "there is no log of any worker yet"),
        (["--worker", "a"], "there is no log of a yet"),
        (["--worker", "aa", "train.py"], "there is no worker aa in the config"),
        (["--config", "none.toml", "train.py"], "there is no config none.toml"),
    ],
)
def test_what_cannot_be_tried(lab: Lab, words: list[str], says: str) -> None:
    (lab.root / "wtrace.toml").write_text(CONFIG)
    done = lab.wtrace("try", *words, expect=2)
    assert says in done.stderr
    assert done.stdout == ""


def test_without_a_name_it_is_read_as_the_first_worker_in_whose_way_something_is_found(lab: Lab) -> None:
    other = "metrics = { from = \"stdout\", pattern = 'nothing (?P<epoch>\\d+) (?P<val_loss>\\S+)' }"
    config = CONFIG.replace(
        "[workers.a]", f'[workers.b]\nbranch = "b"\ncommand = ["x"]\n{other}\n[workers.a]'
    )
    (lab.root / "wtrace.toml").write_text(
        config + '[workers.short]\nbranch = "s"\ncommand = ["x"]\nmax_epochs = 500\n'
    )
    (lab.root / "train.log").write_text(LOG)
    found = tried(lab, "train.log")
    assert (found["worker"], found["proposed"], found["claims_at"]) == ("a", False, 750)
    assert found["notes"] == [
        "this is how a is read, and b in another way: `--worker NAME`",
        "a is judged up to 1000, and short up to 500: `--worker NAME`",
    ]
    named = tried(lab, "train.log", "--worker", "short")
    assert (named["worker"], named["claims_at"], named["notes"]) == ("short", None, [])
    (lab.root / "other.log").write_text("epoch 1 acc 0.5\nepoch 2 acc 0.6\n")
    found = tried(lab, "other.log")
    assert (found["worker"], found["proposed"]) == ("b", True)


def test_hostile_lines_cannot_drive_the_terminal(lab: Lab) -> None:
    (lab.root / "evil.log").write_bytes(b"epoch 1 loss 0.5 \x1b]0;owned\x07\x9b2J\xff\xfe \xe2\x80\xae\n" * 3)
    told = lab.wtrace("try", "evil.log").stdout
    assert all(char.isprintable() or char == "\n" for char in told)
    assert tried(lab, "evil.log")["epochs"][0]["metrics"] == {"loss": 0.5}


def test_init_writes_what_a_log_shows(lab: Lab) -> None:
    lab.branch("exp/a", [])
    (lab.root / "old.txt").write_text(LOG)
    told = lab.wtrace("init", "--log", "old.txt", "--from-branches", "exp/*").stdout
    assert "its metrics are read from stdout, as old.txt shows" in told
    spec = load.parse((lab.root / "wtrace.toml").read_text(), source="wtrace.toml")
    assert (spec.check_every, spec.max_epochs, spec.metrics.epoch_key) == (250, 1000, "step")
    assert (spec.success[0].name, spec.success[0].text) == ("val_loss", "val_loss <= 2")
    assert tried(lab, "old.txt")["claims_at"] == 1000


def test_init_finds_a_log(lab: Lab) -> None:
    (lab.root / "train.py").write_text("print('no word of the race')")
    lab.git("commit", "-qam", "plain")
    (lab.root / "notes.log").write_text("nothing to see\n")
    (lab.root / "logs").mkdir()
    (lab.root / "logs" / "run1.log").write_text(
        '{"epoch": 1, "eval": {"acc": 0.7}}\n{"epoch": 2, "eval": {"acc": 0.9}}\n'
    )
    told = lab.wtrace("init").stdout
    assert "logs/run1.log shows" in told
    spec = load.parse((lab.root / "wtrace.toml").read_text(), source="wtrace.toml")
    assert (spec.check_every, spec.max_epochs, spec.success[0].text) == (1, 2, "'eval.acc' >= 0.9")


def test_init_does_not_ask_a_log_where_the_training_reports_itself(lab: Lab) -> None:
    (lab.root / "train.log").write_text(LOG)
    lab.wtrace("init")  # the lab's training names WTRACE_METRICS
    assert load.parse((lab.root / "wtrace.toml").read_text(), source="wtrace.toml").metrics.source == "jsonl"


def test_init_with_a_log_that_says_nothing(lab: Lab) -> None:
    (lab.root / "empty.log").write_text("hello\n")
    done = lab.wtrace("init", "--log", "empty.log", expect=2)
    assert "nothing in empty.log looks like metrics" in done.stderr
    assert not (lab.root / "wtrace.toml").exists()
