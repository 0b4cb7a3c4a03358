"""Self-supervision: its loss by hand, its pairs, its cache, and that its features know an object again."""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from approaches.pretrained_features import looks
from persistence import backbone, checkpoint, data, options, scene, selfsupervision
from persistence.errors import TrainingError
from persistence.stopping import Stopped
from workers_samples import TINY, tiny_options

pytestmark = pytest.mark.torch

CPU = torch.device("cpu")
SMALL = selfsupervision.Recipe(clips=40, steps=12, pairs=32, side_px=16)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # as the trainings have it; on a busy machine two wait for one another


@pytest.fixture(scope="module")
def objects() -> selfsupervision.Objects:
    return selfsupervision.gather_objects(SMALL)


def test_nt_xent_equals_a_case_computed_by_hand() -> None:
    # Two pairs: rows 0 and 2 point along x, rows 1 and 3 along y; lengths do not count.
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    each = -math.log(math.exp(1 / 0.5) / (math.exp(1 / 0.5) + 2))  # the partner at cosine 1, two others at 0
    assert selfsupervision.nt_xent(z, temperature=0.5).item() == pytest.approx(each, rel=1e-6)
    swapped = z[[0, 1, 3, 2]]  # each one's partner is now a stranger
    each = -math.log(1 / (math.exp(1 / 0.5) + 2))
    assert selfsupervision.nt_xent(swapped, temperature=0.5).item() == pytest.approx(each, rel=1e-6)


def test_nt_xent_of_one_pair_is_0_and_its_gradient_finite() -> None:
    z = torch.randn(2, 8, requires_grad=True)
    loss = selfsupervision.nt_xent(z, temperature=0.2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_the_clips_are_of_no_split() -> None:
    for sizes in (data.FULL, data.QUICK):
        for split, first in data.FIRST_ID.items():
            assert first + sizes[split] <= data.FIRST_UNUSED_ID


def test_objects_are_those_of_the_clips_of_either_kind(objects: selfsupervision.Objects) -> None:
    clips = [scene.make_clip(0, data.FIRST_UNUSED_ID + i) for i in range(SMALL.clips)]
    assert len(objects.count) == sum(int(clip.object.max()) + 1 for clip in clips)
    assert len(objects.crops) == sum(int((clip.object >= 0).sum()) for clip in clips)
    third = clips[0].crops[clips[0].object == 2]
    first = int(objects.first[2])
    assert torch.equal(objects.crops[first : first + int(objects.count[2])], torch.from_numpy(third))


def test_a_pair_is_one_object_in_two_frames_where_it_has_two(objects: selfsupervision.Objects) -> None:
    rng = torch.Generator().manual_seed(0)
    owner = torch.repeat_interleave(torch.arange(len(objects.count)), objects.count)
    seen = set()
    for _ in range(100):
        first, second = selfsupervision.draw_pairs(objects, 64, rng)
        assert torch.equal(owner[first], owner[second])
        assert len(set(owner[first].tolist())) == 64  # no object twice: it would be pushed away from itself
        several = objects.count[owner[first]] > 1
        assert (first[several] != second[several]).all()
        seen |= set(first.tolist()) | set(second.tolist())
    assert len(seen) > 0.9 * len(objects.crops)


def test_two_views_of_a_crop_differ_and_stay_pixels(objects: selfsupervision.Objects) -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (selfsupervision.view(objects.crops[:50], rng) for _ in range(2))
    assert a.shape == objects.crops[:50].shape
    assert not torch.equal(a, b)
    assert a.min() >= 0
    assert a.max() <= 255


def test_weights_are_trained_once_kept_by_recipe_and_leave_the_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    path = selfsupervision.weights_file(tmp_path, SMALL, CPU)
    assert torch.equal(torch.rand(3), expected)
    made = path.stat().st_mtime_ns
    assert selfsupervision.weights_file(tmp_path, SMALL, CPU) == path
    assert path.stat().st_mtime_ns == made
    other = selfsupervision.weights_file(tmp_path, replace(SMALL, steps=1), CPU)
    assert other != path
    meta = json.loads((path.parent / "meta.json").read_text())
    assert meta["weights"].startswith("self-supervised (")
    again = selfsupervision.weights_file(tmp_path / "elsewhere", SMALL, CPU)
    assert backbone.load_backbone(str(again)).sha256 == backbone.load_backbone(str(path)).sha256


@pytest.mark.parametrize("at", [1, 4])
def test_who_is_told_to_stop_keeps_what_was_trained_and_the_next_goes_on_bit_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], at: int
) -> None:
    recipe = replace(SMALL, steps=4)
    whole = selfsupervision.weights_file(tmp_path / "whole", recipe, CPU)
    original, steps = selfsupervision.draw_pairs, 0

    def told_to_stop(*args: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args)

    monkeypatch.setattr(selfsupervision, "draw_pairs", told_to_stop)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped):
        selfsupervision.weights_file(tmp_path / "halves", recipe, CPU)
    assert signal.getsignal(signal.SIGTERM) == handler
    resumed = selfsupervision.weights_file(tmp_path / "halves", recipe, CPU)
    assert f"going on from step {at}\n" in capsys.readouterr().out
    assert steps == recipe.steps
    assert backbone.load_backbone(str(resumed)).sha256 == backbone.load_backbone(str(whole)).sha256
    assert not list((tmp_path / "halves").glob("*halfway*"))


def test_what_was_kept_and_cannot_be_read_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(SMALL, steps=1)
    path = selfsupervision.weights_file(tmp_path, recipe, CPU)
    path.parent.rename(tmp_path / "gone")
    path.parent.with_name(f"{path.parent.name}.halfway.pt").write_text("torn")
    assert selfsupervision.weights_file(tmp_path, recipe, CPU).exists()
    assert "from the beginning: " in capsys.readouterr().out


PRETRAINED = """
import sys
from dataclasses import replace
import train_pretrained
from persistence import selfsupervision
from persistence.options import run_script
selfsupervision.QUICK = selfsupervision.Recipe(clips=40, steps=100000, pairs=32, side_px=16)
run_script(train_pretrained.main)
"""


def test_sigterm_while_the_backbone_is_trained_leaves_as_anywhere_else_and_so_does_who_waits_for_it(
    tmp_path: Path,
) -> None:
    with _pretrained(tmp_path) as trains:
        _line_of(trains, "training self-supervised")
        with _pretrained(tmp_path) as waits:
            _line_of(waits, "waiting for another process that makes resnet18-self-supervised-")
            waits.send_signal(signal.SIGTERM)
            assert waits.communicate(timeout=60)[0] == "told to stop before the training began: leaving\n"
        _line_of(trains, "self-supervision: step 20/")
        trains.send_signal(signal.SIGTERM)
        said = trains.communicate(timeout=60)[0]
    assert (trains.returncode, waits.returncode) == (0, 0)
    assert "; kept for the next\ntold to stop before the training began: leaving\n" in said
    assert list((tmp_path / "cache").glob("*.halfway.pt"))
    assert not (tmp_path / "output").exists()


@contextmanager
def _pretrained(folder: Path) -> Iterator[subprocess.Popen[str]]:
    workers = Path(__file__).resolve().parent.parent / "workers"
    arguments = ["--quick", "--weights", "self-supervised", "--data-cache", "cache", "--output", "output"]
    process = subprocess.Popen(
        [sys.executable, "-c", PRETRAINED, *arguments],
        env={**os.environ, "PYTHONPATH": str(workers)}, cwd=folder, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _line_of(process: subprocess.Popen[str], *beginnings: str) -> str:
    """Its next line that begins so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginnings):
            return line
    raise AssertionError(f"it has ended without saying {beginnings}")


def test_trained_features_tell_objects_apart_that_they_have_not_seen(
    objects: selfsupervision.Objects,
) -> None:
    others = selfsupervision.gather_objects(replace(SMALL, seed=1))
    several = (others.count > 1).nonzero()[:64, 0]
    rows = torch.cat(
        [others.first[several], others.first[several] + 1]
    )  # two detections of each of 64 objects

    def loss_after(lr: float) -> float:
        resnet = selfsupervision.train(replace(SMALL, lr=lr, steps=40, warmup_steps=3), objects, CPU).eval()
        with torch.inference_mode():
            features = resnet(backbone.enlarge(others.crops[rows], SMALL.side_px))
        return float(selfsupervision.nt_xent(features, temperature=0.2))

    assert loss_after(lr=1e-3) < 0.8 * loss_after(lr=0.0)


def test_auto_takes_self_supervised_weights_where_imagenet_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selfsupervision, "QUICK", SMALL)
    cache = tmp_path / "cache"
    run: options.Options = tiny_options(tmp_path / "out", data_cache=cache)

    def unreachable() -> dict[str, torch.Tensor]:
        raise TrainingError("no ImageNet weights: no line")

    monkeypatch.setattr(backbone, "_imagenet_weights", unreachable)
    weights, side_px = looks.choose_weights("auto", run)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "no ImageNet weights: no line; taking self-supervised weights in their place"
    assert weights.description == SMALL.description
    assert side_px == SMALL.side_px
    with pytest.raises(TrainingError, match="no line"):
        looks.choose_weights("imagenet", run)

    imagenet = checkpoint.load(Path(weights.source), CPU)
    monkeypatch.setattr(backbone, "_imagenet_weights", lambda: imagenet)
    weights, side_px = looks.choose_weights("auto", run)
    assert (weights.description, side_px) == ("imagenet", 64)


def test_what_the_start_record_says_of_the_weights_is_enough_to_evaluate_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selfsupervision, "QUICK", SMALL)
    monkeypatch.setattr(data, "QUICK", TINY)
    parser = options.parser("", name="tiny")
    looks.add_options(parser)
    command = ["--quick", "--weights", "self-supervised", "--data-cache", str(tmp_path), "--device", "cpu"]
    args = parser.parse_args(command)
    run = options.Options.of(args)
    features, _, info = looks.prepare(args, run)
    assert info["weights"] == SMALL.description
    evaluate = importlib.import_module("evaluate")
    clips = evaluate.clips_of({**info, **run.recipe, "data": features.checksum}, "validation", tmp_path, CPU)
    assert torch.equal(clips.looks, features.splits["validation"].looks)


def test_pretraining_by_hand_says_what_the_weights_are_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module("pretrain_backbone")
    small = ["--quick", "--clips", "20", "--steps", "1", "--pairs", "8", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", ["pretrain_backbone.py", *small, "--data-cache", str(tmp_path)])
    script.main()
    last = capsys.readouterr().out.splitlines()[-1]
    described, path = last.rsplit(": ", 1)
    assert "20 clips outside all splits, 1 steps of 8 objects, 16 px, seed 3" in described
    assert len(backbone.load_backbone(path).weights) > 100
