"""The callbacks, in real trainings of the frameworks that they are for. Skipped where one is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wtrace.integrations.schedule import is_planned

LIGHTNING = """
import lightning.pytorch as pl, torch, sys
from torch.utils.data import DataLoader, TensorDataset
from wtrace.integrations.lightning import LightningReporter

class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, index):
        loss = ((self.layer(batch[0]) - batch[1]) ** 2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", ((self.layer(batch[0]) - batch[1]) ** 2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Sampling(LightningReporter):
    def samples(self, trainer, module):
        return {"x": torch.tensor([0.5, 1.5])}

x = torch.linspace(0, 1, 16)[:, None]
data = DataLoader(TensorDataset(x, 2 * x), 4)
trainer = pl.Trainer(max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                     enable_model_summary=False, check_val_every_n_epoch=2, callbacks=[Sampling(save_checkpoints=True)])
trainer.fit(Line(), data, data)
"""

TRANSFORMERS = """
import os, torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from wtrace.integrations.transformers import TransformersReporter

config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
data = [{"input_ids": torch.randint(0, 20, (4,)), "labels": torch.tensor(n % 2)} for n in range(8)]
args = TrainingArguments(output_dir=os.environ["WTRACE_OUTPUT"], num_train_epochs=5, eval_strategy="epoch",
    logging_strategy="steps", logging_steps=1, save_strategy="no", per_device_train_batch_size=4, report_to=[], use_cpu=True,
    disable_tqdm=True)
Trainer(BertForSequenceClassification(config), args, train_dataset=data, eval_dataset=data,
    callbacks=[TransformersReporter()]).train()
"""

KERAS = """
import keras, numpy
from wtrace.integrations.keras import KerasReporter

x = numpy.linspace(0, 1, 16)[:, None]
model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x, 2 * x, epochs=5, validation_data=(x, 2 * x), validation_freq=2, verbose=0, callbacks=[KerasReporter()])
"""


def train(folder: Path, script: str, *, in_race: bool = True) -> list[dict[str, Any]]:
    """The records of a training, under a race that checks every second epoch of five."""
    metrics, output = folder / "metrics.jsonl", folder / "output"
    output.mkdir()
    race = (
        {"WTRACE_METRICS": str(metrics), "WTRACE_CHECK_EVERY": "2", "WTRACE_MAX_EPOCHS": "5"}
        if in_race
        else {}
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch", "WTRACE_OUTPUT": str(output), **race}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []


def needs(framework: str) -> None:
    for module in ("torch", framework):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def checks(records: list[dict[str, Any]]) -> list[int]:
    return [record["epoch"] for record in records if record["event"] == "check"]


def test_lightning(tmp_path: Path) -> None:
    needs("lightning")
    records = train(tmp_path, LIGHTNING)
    assert records[0] == {"event": "start", "max_epochs": 5, "info": {"on_win": "settle"}}
    assert records[-1] == {"event": "end", "reason": "max_epochs"}
    assert [(record["event"], record["epoch"]) for record in records[1:-1]] == [
        ("epoch", 1), ("check", 2), ("epoch", 3), ("check", 4), ("epoch", 5),
    ]  # fmt: skip
    assert set(records[2]["metrics"]) == {"train_loss", "val_loss"}
    assert set(records[3]["metrics"]) == {"train_loss"}, "an earlier validation's metrics were told again"
    assert records[2]["samples"] == {"x": [0.5, 1.5]}
    assert (tmp_path / "output" / records[2]["checkpoint"]).is_file()


def test_transformers(tmp_path: Path) -> None:
    needs("transformers")
    records = train(tmp_path, TRANSFORMERS)
    assert records[0] == {"event": "start", "max_epochs": 5, "info": {"on_win": "settle"}}
    assert records[-1] == {"event": "end", "reason": "max_epochs"}
    assert checks(records) == [2, 4, 5]
    check = next(record for record in records if record["event"] == "check")
    assert {"loss", "eval_loss"} <= set(check["metrics"]) and "epoch" not in check["metrics"]


def test_keras(tmp_path: Path) -> None:
    needs("keras")
    records = train(tmp_path, KERAS)
    assert records[0] == {"event": "start", "max_epochs": 5, "info": {"on_win": "settle"}}
    assert records[-1] == {"event": "end", "reason": "max_epochs"}
    assert checks(records) == [2, 4]
    assert set(records[2]["metrics"]) == {"loss", "val_loss"}


@pytest.mark.parametrize(("framework", "script"), [("lightning", LIGHTNING), ("keras", KERAS)])
def test_outside_of_a_race_nothing_is_written(tmp_path: Path, framework: str, script: str) -> None:
    needs(framework)
    assert train(tmp_path, script, in_race=False) == []


def test_planned_epochs_are_those_of_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WTRACE_CHECK_EVERY", raising=False)
    monkeypatch.delenv("WTRACE_MAX_EPOCHS", raising=False)
    assert is_planned(1, 9)
    monkeypatch.setenv("WTRACE_CHECK_EVERY", "4")
    assert [epoch for epoch in range(1, 10) if is_planned(epoch, 9)] == [4, 8, 9]
    monkeypatch.setenv("WTRACE_MAX_EPOCHS", "7")
    assert [epoch for epoch in range(1, 10) if is_planned(epoch, 9)] == [4, 7, 8]
