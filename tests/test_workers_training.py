"""The training loop: what it reports, that it can be repeated, stopped and gone on with, bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from persistence import checkpoint, data, evaluate, training
from persistence.errors import TrainingError
from persistence.stopping import Stopped
from workers_samples import SMALL_MODEL, TINY, objective, prepare, records, tiny_options
from wtrace import Reporter

pytestmark = pytest.mark.torch

STEPS = 6  # per epoch: 24 clips, 4 a step


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> data.Dataset:
    return data.open_dataset(tmp_path_factory.mktemp("cache"), TINY)


def _train(tmp_path: Path, name: str, dataset: data.Dataset, **changed: Any) -> Path:
    """A whole training; its output folder, with metrics.jsonl in it."""
    output = tmp_path / name
    output.mkdir()
    training.train(
        tiny_options(output, **changed),
        dataset,
        SMALL_MODEL,
        objective,
        reporter=Reporter(output / "metrics.jsonl"),
        info={"approach": "tiny"},
    )
    return output


def _last(output: Path) -> dict[str, Any]:
    return checkpoint.load(output / "checkpoints" / "last.pt", torch.device("cpu"))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested dicts and lists as one, by path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {k: v for key, inner in enumerate(value) for k, v in _flat(inner, f"{path}/{key}").items()}
    return {path: value}


def assert_bit_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    flat_a, flat_b = _flat(a), _flat(b)
    assert flat_a.keys() == flat_b.keys()
    for name, value in flat_a.items():
        same = torch.equal(value, flat_b[name]) if isinstance(value, torch.Tensor) else value == flat_b[name]
        assert same, name


def test_a_training_reports_every_epoch_and_checks_before_between_and_at_the_end(
    tmp_path: Path, dataset: data.Dataset
) -> None:
    output = _train(tmp_path, "run", dataset, max_epochs=3, check_every=2)
    lines = records(output / "metrics.jsonl")
    assert [(line["event"], line.get("epoch")) for line in lines] == [
        ("start", None),
        ("check", 0),
        ("epoch", 1),
        ("epoch", 2),
        ("check", 2),
        ("epoch", 3),
        ("check", 3),
        ("end", None),
    ]
    assert lines[0]["max_epochs"] == 3
    assert lines[0]["info"]["data"] == dataset.checksum
    assert lines[0]["info"]["device"] == "cpu"
    assert lines[-1]["reason"] == "max_epochs"
    for check in (line for line in lines if line["event"] == "check"):
        assert list(check["samples"]) == ["id", "persistent", "transient", "accuracy"]
        assert check["samples"]["id"] == list(range(8000, 8006))
        assert set(check["objects"]["sample"]) == {8000, 8001, 8002, 8003}
        assert (output / check["checkpoint"]).is_file()
    epoch = lines[2]["metrics"]
    assert epoch["train_loss"] == pytest.approx(epoch["train_classification"] + epoch["train_attention"])


def test_the_network_that_was_judged_is_the_one_in_the_checkpoint(
    tmp_path: Path, dataset: data.Dataset
) -> None:
    output = _train(tmp_path, "run", dataset)
    said = [line for line in records(output / "metrics.jsonl") if line["event"] == "check"][-1]
    kept = checkpoint.load(output / said["checkpoint"], torch.device("cpu"))
    judgement = evaluate.judge(
        checkpoint.build_model(kept["model"]), dataset.splits["validation"].in_order(100)
    )
    assert judgement.samples == said["samples"]
    assert kept["epoch"] == said["epoch"] == 2


def test_the_same_seed_gives_the_same_metrics_and_another_seed_others(
    tmp_path: Path, dataset: data.Dataset
) -> None:
    first = _train(tmp_path, "first", dataset)
    second = _train(tmp_path, "second", dataset)
    other = _train(tmp_path, "other", dataset, seed=1)
    assert records(first / "metrics.jsonl") == records(second / "metrics.jsonl")
    assert_bit_equal(_last(first), _last(second))
    assert records(first / "metrics.jsonl")[2] != records(other / "metrics.jsonl")[2]


@pytest.mark.parametrize("steps_before", [0, 3, STEPS, STEPS + 2], ids=lambda n: f"after {n} steps")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_that_was_stopped_and_resumed_ends_bit_equal(
    tmp_path: Path, dataset: data.Dataset, steps_before: int, precision: str
) -> None:
    whole = _train(tmp_path, "whole", dataset, precision=precision)

    output = tmp_path / "halves"
    output.mkdir()
    halves = tiny_options(output, precision=precision)
    metrics = output / "metrics.jsonl"
    run = prepare(halves, dataset, Reporter(metrics))
    original, done = run.objective, 0

    def objective_that_is_interrupted(*args: Any) -> Any:
        nonlocal done
        done += 1
        if done == steps_before:
            run.stop.received = signal.SIGTERM
        return original(*args)

    run.objective = objective_that_is_interrupted
    if steps_before == 0:
        run.stop.received = signal.SIGTERM
    with pytest.raises(Stopped):
        training.work(run)
    training.save_progress(run)
    assert run.progress.epoch * STEPS + run.progress.step == steps_before
    torch.manual_seed(999)  # whatever happens in between
    torch.rand(10)

    training.train(
        halves, dataset, SMALL_MODEL, objective, reporter=Reporter(metrics), info={"approach": "tiny"}
    )
    assert_bit_equal(_last(whole), _last(output))
    expected = [line for line in records(whole / "metrics.jsonl") if line["event"] in {"epoch", "check"}]
    assert [line for line in records(metrics) if line["event"] in {"epoch", "check"}] == expected


def test_a_training_that_is_over_is_not_trained_again_but_can_be_made_longer(
    tmp_path: Path, dataset: data.Dataset
) -> None:
    output = _train(tmp_path, "run", dataset, max_epochs=1)
    for max_epochs, epochs in ((1, []), (2, [2])):
        metrics = output / f"again-{max_epochs}.jsonl"
        again = tiny_options(output, max_epochs=max_epochs)
        training.train(
            again, dataset, SMALL_MODEL, objective, reporter=Reporter(metrics), info={"approach": "tiny"}
        )
        assert [line["epoch"] for line in records(metrics) if line["event"] == "epoch"] == epochs
    assert_bit_equal(_last(output), _last(_train(tmp_path, "at once", dataset, max_epochs=2)))


def test_another_trainings_folder_is_refused(tmp_path: Path, dataset: data.Dataset) -> None:
    output = _train(tmp_path, "run", dataset, max_epochs=1)
    with pytest.raises(TrainingError, match="another seed; choose another --output"):
        prepare(tiny_options(output, seed=1), dataset, Reporter())
    with pytest.raises(TrainingError, match="another batch_size, lr;"):
        prepare(tiny_options(output, batch_size=3, lr=0.1), dataset, Reporter())


def test_a_checkpoint_that_is_torn_or_is_none_is_told_in_one_line(
    tmp_path: Path, dataset: data.Dataset
) -> None:
    output = _train(tmp_path, "run", dataset, max_epochs=1)
    last = output / "checkpoints" / "last.pt"
    whole = last.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        last.write_bytes(content)
        with pytest.raises(TrainingError) as told:
            prepare(tiny_options(output), dataset, Reporter())
        assert "\n" not in str(told.value)
    torch.save(Path("/"), last)  # anything but plain data is not even built
    with pytest.raises(TrainingError, match="cannot be read as a checkpoint"):
        prepare(tiny_options(output), dataset, Reporter())


def test_early_stopping_is_for_runs_by_hand(
    tmp_path: Path, dataset: data.Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "goal_is_reached", lambda judgement, ratio: judgement.ratio >= ratio)
    output = _train(tmp_path, "in a race", dataset, early_stop_ratio=0.1)
    assert records(output / "metrics.jsonl")[-1]["reason"] == "max_epochs"
    by_hand = tiny_options(tmp_path / "by hand", early_stop_ratio=0.1)
    training.train(by_hand, dataset, SMALL_MODEL, objective, reporter=Reporter(), info={"approach": "tiny"})
    assert "ended after epoch 1: early_stop" in capsys.readouterr().out


def test_sigterm_saves_and_leaves_within_two_seconds(tmp_path: Path, dataset: data.Dataset) -> None:
    script = """
import sys
from pathlib import Path
from persistence import data
from persistence.options import run_script
from workers_samples import SMALL_MODEL, TINY, objective, tiny_options
from persistence import training
from wtrace import Reporter
def main():
    dataset = data.open_dataset(Path(sys.argv[1]), TINY)
    training.train(tiny_options(Path(sys.argv[2]), max_epochs=100000, check_every=100000), dataset, SMALL_MODEL,
                   objective, reporter=Reporter(Path(sys.argv[2]) / "metrics.jsonl"), info={"approach": "tiny"})
run_script(main)
"""
    output = tmp_path / "run"
    output.mkdir()
    here = Path(__file__).resolve().parent
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(dataset.folder.parent), str(output)],
        env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent / 'workers'}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch 2/"):
            assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        took = time.monotonic() - began
    finally:
        process.kill()
        process.wait()
    assert took < 2
    assert process.returncode == 0
    assert "told to stop: saving and leaving" in said
    assert records(output / "metrics.jsonl")[-1] == {"event": "end", "reason": "stopped"}
    progress = _last(output)["progress"]
    assert progress["epoch"] >= 2
    run = prepare(tiny_options(output), dataset, Reporter())  # and it can be gone on with
    assert (run.progress.epoch, run.progress.step) == (progress["epoch"], progress["step"])
