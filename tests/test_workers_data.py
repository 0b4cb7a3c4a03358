"""The clips themselves, and the cache that several workers share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from persistence import cache, data, scene
from persistence.errors import TrainingError
from workers_samples import TINY, clips_of

pytestmark = pytest.mark.torch

WORKERS = Path(__file__).resolve().parent.parent / "workers"


@pytest.fixture(scope="module")
def clips() -> list[scene.Clip]:
    return [scene.make_clip(0, clip_id) for clip_id in range(300)]


def test_a_clip_is_a_function_of_seed_and_id_alone(clips: list[scene.Clip]) -> None:
    again = scene.make_clip(0, 17)
    for name in scene.Clip.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(clips[17], name))
    assert not np.array_equal(scene.make_clip(1, 17).crops, again.crops)
    assert not np.array_equal(clips[18].crops, again.crops)


def test_both_kinds_have_as_many_tokens_and_a_clip_at_most_28(clips: list[scene.Clip]) -> None:
    for clip in clips:
        real = clip.object >= 0
        assert clip.persistent[real].sum() * 2 == real.sum()
    counts = [int((clip.object >= 0).sum()) for clip in clips]
    assert max(counts) == 28
    assert np.mean(counts) == pytest.approx(25.5, abs=0.5)


def test_duration_is_the_share_of_frames_in_which_the_object_is_seen(clips: list[scene.Clip]) -> None:
    for clip in clips[:50]:
        for number in range(clip.object.max() + 1):
            tokens = clip.object == number
            frames = clip.frame[tokens]
            assert len(set(frames)) == len(frames)
            assert (clip.duration[tokens] == len(frames) / 8).all()
            assert len(frames) <= (8 if clip.persistent[tokens][0] else 3)
        assert (
            sum(clip.persistent[clip.object == number].any() for number in range(clip.object.max() + 1)) == 2
        )


def test_transient_objects_live_and_flicker_as_often_as_described(clips: list[scene.Clip]) -> None:
    rng = np.random.default_rng(0)
    lives = [scene._short_life(rng) for _ in range(4000)]
    lengths = np.bincount([len(frames) for frames in lives], minlength=4) / len(lives)
    assert lengths[1:] == pytest.approx([0.3, 0.4, 0.3], abs=0.03)
    gaps = [np.diff(frames).min() for frames in lives if len(frames) > 1]
    assert np.mean([gap > 1 for gap in gaps]) == pytest.approx(0.3, abs=0.03)
    assert {int(frame) for frames in lives for frame in frames} == set(range(8))


def test_one_crop_tells_little_of_its_kind(clips: list[scene.Clip]) -> None:
    # Looks come from one distribution, but for the cue (brighter or blurred) that a third of the transient ones carry.
    crops = np.concatenate([clip.crops[clip.object >= 0] for clip in clips]).astype(float)
    persistent = np.concatenate([clip.persistent[clip.object >= 0] for clip in clips])
    position = np.concatenate([clip.position[clip.object >= 0] for clip in clips])
    brightness, contrast = crops.mean(axis=(1, 2, 3)), crops.std(axis=(1, 2, 3))
    for feature in (brightness, contrast, position[:, 0], position[:, 1]):
        difference = feature[persistent].mean() - feature[~persistent].mean()
        assert abs(difference) / feature.std() < 0.25


def test_the_same_seed_and_sizes_give_the_same_bytes_and_the_same_clips_in_every_form(tmp_path: Path) -> None:
    here = data.open_dataset(tmp_path / "a", TINY)
    there = data.open_dataset(tmp_path / "b", TINY)
    larger = data.open_dataset(tmp_path / "a", {**TINY, "validation": 9})
    other = data.open_dataset(tmp_path / "a", TINY, seed=1)
    assert here.checksum == there.checksum
    assert len({here.checksum, larger.checksum, other.checksum}) == 3
    assert here.splits["validation"].id.tolist() == list(range(8000, 8006))
    assert torch.equal(here.splits["validation"].looks, larger.splits["validation"].looks[:6])
    np.testing.assert_array_equal(here.splits["test"].looks[2].numpy(), scene.make_clip(0, 9002).crops)


def test_data_that_were_damaged_are_made_again(tmp_path: Path) -> None:
    before = data.open_dataset(tmp_path, TINY)
    file = before.folder / "train-looks.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    assert data.checksum(before.folder) != before.checksum
    after = data.open_dataset(tmp_path, TINY)
    assert data.checksum(after.folder) == after.checksum == before.checksum


def test_what_a_killed_writer_left_behind_is_never_taken_for_the_data(tmp_path: Path) -> None:
    whole = data.open_dataset(tmp_path, TINY)
    partial = whole.folder.with_name(whole.folder.name + ".partial")
    whole.folder.rename(partial)
    (partial / "test-duration.npy").unlink()
    again = data.open_dataset(tmp_path, TINY)
    assert again.checksum == data.checksum(again.folder)
    assert not partial.exists()


def test_of_many_processes_that_start_at_once_one_writes(tmp_path: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
from persistence import cache
folder, log = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True); sys.stdin.readline()
def make(path):
    with log.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    (path / "first").write_text("1"); time.sleep(0.2); (path / "last").write_text("2")
cache.made_once(folder, make, lambda path: path.exists())
assert (folder / "first").exists() and (folder / "last").exists()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "made"), str(tmp_path / "log")]
    processes = [
        subprocess.Popen(command, cwd=WORKERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 6
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_cache_that_cannot_be_written_is_told_with_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="try another --data-cache"):
        data.open_dataset(tmp_path / "file" / "cache", TINY)


def test_the_cache_lies_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "wtrace-persistence"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_folder() == Path.home() / ".cache" / "wtrace-persistence"


def test_the_description_on_disk_says_what_the_data_are(tmp_path: Path) -> None:
    dataset = data.open_dataset(tmp_path, TINY, seed=3)
    meta = json.loads((dataset.folder / "meta.json").read_text())
    assert meta == {"format": 1, "seed": 3, "sizes": TINY, "checksum": dataset.checksum}


def test_shuffled_batches_hold_every_clip_once_and_go_on_where_they_were_left() -> None:
    clips = clips_of(["pt"] * 10)
    whole = [batch.id.tolist() for batch in clips.shuffled(4, seed=5)]
    assert sorted(i for ids in whole for i in ids) == list(range(10))
    assert [batch.id.tolist() for batch in clips.shuffled(4, seed=5, first_batch=1)] == whole[1:]
    assert [batch.id.tolist() for batch in clips.shuffled(4, seed=6)] != whole
    assert [len(batch) for batch in clips.in_order(4)] == [4, 4, 2]
