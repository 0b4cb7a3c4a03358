"""`wtrace init`: a worker for each branch that matches, and a guess at where the training logs its metrics."""

from __future__ import annotations

import json
import tomllib

import pytest

from race_lab import Lab
from wtrace.config.load import parse
from wtrace.config.spec import MetricsSpec
from wtrace.config.template import Guess, config_template, guess_metrics

RECORD = {"event": "check", "epoch": 5, "metrics": {"val_accuracy": 0.95}}
WINS = [["raw", json.dumps(RECORD) + "\n"]]


def branches(lab: Lab) -> dict[str, str]:
    """The branches of the config by their workers."""
    written = tomllib.loads((lab.root / "wtrace.toml").read_text())
    return {name: table["branch"] for name, table in written["workers"].items()}


def test_the_branches_that_match_race_at_once(lab: Lab) -> None:
    lab.branch("exp/a", WINS)
    lab.branch("exp/deep/a", WINS)
    lab.branch("other", WINS)
    told = lab.wtrace("init", "--from-branches", "exp/*").stdout
    assert "2 workers" in told
    assert "assumed that train.py is the training" in told
    assert branches(lab) == {"a": "exp/a", "a-2": "exp/deep/a"}
    assert (
        "2 workers" not in lab.wtrace("init", "--from-branches", "exp/*", expect=2).stdout
    )  # never overwrites
    lab.wtrace("run")  # as it was written
    assert lab.status()["race"]["state"] == "won"


LOGS_CSV = """
import csv, pathlib, sys


class CSVLogger:
    def __init__(self, save_dir):
        self.file = pathlib.Path(save_dir, "version_0", "metrics.csv")
        self.file.parent.mkdir(parents=True)

    def write(self, rows):
        with self.file.open("w") as file:
            writer = csv.DictWriter(file, ["epoch", "val_accuracy"])
            writer.writeheader()
            writer.writerows(rows)


logger = CSVLogger("logs")
logger.write({"epoch": epoch, "val_accuracy": 0.19 * epoch} for epoch in range(1, 6))
"""


def test_a_training_that_knows_nothing_of_wtrace_wins_by_what_init_wrote(lab: Lab) -> None:
    (lab.root / "train.py").write_text(LOGS_CSV)
    lab.git("commit", "-qam", "log to CSV")
    lab.branch("exp/a", [])
    told = lab.wtrace("init", "--from-branches", "exp/*").stdout
    assert "its metrics are read from csv (CSVLogger)" in told
    lab.wtrace("run")
    assert (lab.status()["race"]["winner"], lab.status()["race"]["winner_epoch"]) == ("a", 5)


def test_branches_that_cannot_race_are_told(lab: Lab) -> None:
    for name in ("exp/here", "exp/free"):
        lab.branch(name, WINS)
    lab.git("switch", "-q", "exp/here")
    for remote in ("one", "two"):
        lab.git("remote", "add", remote, "nowhere")
        lab.git("update-ref", f"refs/remotes/{remote}/exp/both", "main")
    lab.git("update-ref", "refs/remotes/one/exp/only", "main")
    told = lab.wtrace("init", "--from-branches", "exp/*", "--from-branches", "ma?n").stdout
    assert branches(lab) == {"free": "exp/free", "only": "exp/only"}
    assert "left out exp/here: it is checked out already" in told
    assert "left out exp/both: several remotes have it" in told
    assert "left out main: it is the base" in told


def test_where_nothing_matches_the_nearest_is_named_and_nothing_written(lab: Lab) -> None:
    for name in ("experiment/a", "b"):
        lab.branch(name, WINS)
    wrong = lab.wtrace("init", "--from-branches", "experimant/*", expect=2)
    assert "no branch matches 'experimant/*'; did you mean `experiment/a`?" in wrong.stderr
    assert (
        "no branch that matches 'main' can race"
        in lab.wtrace("init", "--from-branches", "main", expect=2).stderr
    )
    assert "no branch matches ''" in lab.wtrace("init", "--from-branches", "", expect=2).stderr
    assert not (lab.root / "wtrace.toml").exists()


def test_many_branches_are_all_workers_with_names_of_their_own(lab: Lab) -> None:
    names = [
        f"{folder}/{name}"
        for folder in ("x", "y", "z")
        for name in ("run", "Run", "results", "ß", "a.lock.b", "v" * 90)
    ]
    for name in names:
        lab.git("update-ref", f"refs/heads/{name}", "main")
    lab.wtrace("init", "--from-branches", "*")
    spec = parse((lab.root / "wtrace.toml").read_text())  # refuses names that are not legal, or not unique
    assert sorted(worker.branch for worker in spec.workers) == sorted(names)


@pytest.mark.parametrize(
    ("framework", "text", "guess"),
    [
        ("torch", 'w = SummaryWriter("tb/run1")', Guess("SummaryWriter", "tensorboard", "tb/run1/**/events.out.tfevents.*")),
        ("torch", "w = SummaryWriter()", Guess("SummaryWriter", "tensorboard", "runs/**/events.out.tfevents.*")),
        ("torch", "w = SummaryWriter(log_dir=args.output)", Guess("SummaryWriter", "tensorboard")),
        ("torch", 'w = SummaryWriter("/data/tb")', Guess("SummaryWriter", "tensorboard")),  # no part of the worktree
        ("torch", "# w = SummaryWriter()", None),
        ("torch", "print(loss)", None),
        ("torch", "from wtrace import Reporter\nw = SummaryWriter()", None),
        ("lightning", 'CSVLogger("logs")', Guess("CSVLogger", "csv", "logs/**/metrics.csv", 0)),
        ("lightning", 'CSVLogger(save_dir="./logs/")', Guess("CSVLogger", "csv", "logs/**/metrics.csv", 0)),
        ("lightning", "CSVLogger(save_dir=out)", Guess("CSVLogger", "csv", None, 0)),
        ("keras", "c = [CSVLogger('log.csv')]", Guess("CSVLogger", "csv", "log.csv", 0)),
        ("keras", "keras.callbacks.TensorBoard()",
         Guess("TensorBoard", "tensorboard", "logs/validation/**/events.out.tfevents.*", 0, "epoch_accuracy")),
        ("transformers", "t = Trainer(model)", Guess("Trainer", "hf", None, 1, "eval_accuracy")),
        ("transformers", 'a = TrainingArguments("out")\nTrainer(model, a)',
         Guess("Trainer", "hf", "out/**/trainer_state.json", 1, "eval_accuracy")),
        ("lightning", 'CSVLogger("../../etc")', Guess("CSVLogger", "csv", None, 0)),
        ("lightning", 'CSVLogger("\x1b[2J")', Guess("CSVLogger", "csv", None, 0)),
    ],
)  # fmt: skip
def test_where_the_training_logs_is_guessed_from_its_text(
    framework: str, text: str, guess: Guess | None
) -> None:
    assert guess_metrics(text, framework) == guess
    spec = parse(config_template(name="r", base="main", branches=["exp/a"], metrics=guess))
    assert spec.metrics == (
        MetricsSpec() if guess is None else MetricsSpec(source=guess.source, path=guess.path, first_epoch=guess.first_epoch)
    )  # fmt: skip
    assert spec.success[0].name == ("val_accuracy" if guess is None else guess.metric)
