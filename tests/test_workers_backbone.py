"""The frozen ResNet-18: where its weights come from, that its features are made once, and that they are its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from persistence import backbone, checkpoint, data, evaluate, options, training
from persistence.errors import TrainingError
from persistence.model import ModelConfig
from workers_samples import TINY, objective, tiny_options
from wtrace import Reporter

pytestmark = pytest.mark.torch

WORKERS = Path(__file__).resolve().parent.parent / "workers"
CPU = torch.device("cpu")
SIDE_PX = 32


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as a user might bring them. (What they are is the user's word; these are no better than random.)"""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pt"
    torch.save(backbone.import_torchvision_models().resnet18(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> data.Dataset:
    return data.open_dataset(tmp_path_factory.mktemp("cache"), TINY)


def _spec(path: Path) -> backbone.FeatureSpec:
    loaded = backbone.load_backbone(str(path))
    return backbone.FeatureSpec(loaded.source, loaded.sha256, SIDE_PX)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody answers, for as long as the test lasts."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_without_weights_the_training_ends_with_one_line_and_exit_code_1(
    tmp_path: Path, closed_port: int
) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            str(WORKERS / "train_pretrained.py"),
            "--quick",
            "--weights",
            "imagenet",
            "--data-cache",
            str(tmp_path / "cache"),
        ],
        env={
            **os.environ,
            "TORCH_HOME": str(tmp_path),
            "https_proxy": f"http://127.0.0.1:{closed_port}",
            "no_proxy": "",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("train_pretrained.py: no ImageNet weights: ")
    assert "--weights FILE" in ended.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_file_that_holds_something_else_is_told_in_one_line(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other network")
    torch.save([1, 2], tmp_path / "no weights")
    (tmp_path / "no torch file").write_text("hello")
    for name, said in {
        "other network": "not a ResNet-18",
        "no weights": "holds no state dict",
        "no torch file": "no torch file: ",
        "missing": "No such file",
    }.items():
        with pytest.raises(TrainingError, match=said) as told:
            backbone.load_backbone(str(tmp_path / name))
        assert "\n" not in str(told.value)


def test_features_are_what_the_frozen_network_makes_of_each_crop(
    weights_file: Path, dataset: data.Dataset
) -> None:
    features = backbone.with_features(dataset, _spec(weights_file), ("test",), CPU)
    clips, original = features.splits["test"], dataset.splits["test"]
    assert clips.looks.shape == (TINY["test"], 28, backbone.N_FEATURES)
    assert (clips.looks[~clips.real] == 0).all()
    resnet = backbone.import_torchvision_models().resnet18(weights=None)
    resnet.load_state_dict(torch.load(weights_file, weights_only=True))
    resnet.fc = torch.nn.Identity()
    with torch.inference_mode():
        expected = resnet.eval()(backbone.enlarge(original.looks[2][original.real[2]], SIDE_PX))
    difference = clips.looks[2][clips.real[2]].float() - expected
    assert difference.norm() / expected.norm() < 0.02  # bf16 against fp32
    assert torch.equal(
        features.splits["train"].looks, dataset.splits["train"].looks
    )  # not asked for, not changed


def test_features_are_computed_once_and_need_no_weights_then(
    weights_file: Path, dataset: data.Dataset, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(weights_file.read_bytes())
    spec = _spec(copy)
    assert spec.sha256 == _spec(weights_file).sha256  # known by their numbers, not by their name
    first = backbone.with_features(dataset, spec, ("validation",), CPU)
    copy.unlink()
    again = backbone.with_features(dataset, spec, ("validation",), CPU)
    assert torch.equal(first.splits["validation"].looks, again.splits["validation"].looks)


def test_features_of_other_weights_than_the_checkpoints_are_refused(
    weights_file: Path, dataset: data.Dataset, tmp_path: Path
) -> None:
    state = torch.load(weights_file, weights_only=True)
    state["conv1.weight"] += 1
    changed = tmp_path / "changed.pt"
    torch.save(state, changed)
    stale = backbone.FeatureSpec(str(changed), _spec(weights_file).sha256, 48)
    with pytest.raises(TrainingError, match="no longer holds the weights"):
        backbone.with_features(dataset, stale, ("test",), CPU)


def test_a_network_trains_on_features_and_is_judged_again_from_its_checkpoint(
    weights_file: Path, dataset: data.Dataset, tmp_path: Path
) -> None:
    features = backbone.with_features(dataset, _spec(weights_file), ("train", "validation"), CPU)
    config = ModelConfig(width=32, heads=2, feedforward=32, frozen_features=backbone.N_FEATURES)
    run: options.Options = tiny_options(tmp_path)
    info: dict[str, Any] = {"approach": "tiny"}
    training.train(run, features, config, objective, reporter=Reporter(), info=info)
    kept = checkpoint.load(tmp_path / "checkpoints" / "epoch_002.pt", CPU)
    model = checkpoint.build_model(kept["model"])
    judgement = evaluate.judge(model, features.splits["validation"].in_order(100))
    assert len(judgement.id) == TINY["validation"]
