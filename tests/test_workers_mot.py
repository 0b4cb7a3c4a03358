"""Own videos in MOTChallenge form: what becomes a clip, and what is told of what cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import import_mot
from persistence import data, mot
from persistence.errors import TrainingError

pytestmark = pytest.mark.torch

WORKERS = Path(__file__).resolve().parent.parent / "workers"
N_FRAMES = 80  # ten clips
PERSON, CAR, FLASH, BETWEEN, IGNORED = 1, 2, 10, 50, 99
COLOUR = {PERSON: (250, 10, 20), CAR: (20, 240, 30), FLASH: (10, 30, 250), BETWEEN: (200, 200, 10)}
BOX = {PERSON: (10, 20, 16, 16), CAR: (60, 8, 12, 20), FLASH: (34, 30, 8, 8), BETWEEN: (2, 2, 6, 6)}


def _frames_of(name: int) -> range | list[int]:
    """The person is always there, the car in 6 of 8 frames, a flash in 2, something else in 4."""
    wanted = {PERSON: range(8), CAR: range(6), FLASH: (3, 5), BETWEEN: range(4)}[name]
    return [frame for frame in range(1, N_FRAMES + 1) if (frame - 1) % 8 in wanted]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A sequence of 80 frames of 96x64 pixels, an even colour for each object."""
    folder = tmp_path / "MOT-01"
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    pixels = np.full((N_FRAMES + 1, 64, 96, 3), 60, np.uint8)
    rows = []
    for name, (left, top, width, height) in BOX.items():
        for frame in _frames_of(name):
            pixels[frame, top : top + height, left : left + width] = COLOUR[name]
            rows.append(f"{frame},{name},{left},{top},{width},{height},1,{1 if name == PERSON else 3},1.0")
    rows += [f"{frame},{IGNORED},0,0,5,5,0,1,1" for frame in range(1, N_FRAMES + 1, 8)]
    for frame in range(1, N_FRAMES + 1):
        Image.fromarray(pixels[frame]).save(folder / "img1" / f"{frame:06d}.png")
    (folder / "gt" / "gt.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def importing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The script in this process; what it prints."""

    def run(*arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["import_mot.py", *map(str, arguments)])
        import_mot.main()
        return capsys.readouterr().out

    return run


def test_the_share_of_frames_decides_what_is_persistent(video: Path) -> None:
    settings = mot.Settings()
    clips, left_out = mot.clips_of(mot.read_video(video, settings), range(1, 17), settings, first_id=0)
    assert (len(clips), left_out) == (2, 0)
    for clip in clips:
        real = clip.object >= 0
        kinds = {
            (bool(clip.persistent[clip.object == number][0]), float(clip.duration[clip.object == number][0]))
            for number in range(clip.object.max() + 1)
        }
        assert kinds == {(True, 1.0), (True, 0.75), (False, 0.25)}  # seen in 4 of 8: neither, left out
        assert real.sum() == 8 + 6 + 2
        flash = real & ~clip.persistent
        assert sorted(clip.frame[flash]) == [3, 5]
        assert (clip.crops[flash] == COLOUR[FLASH]).all()
        np.testing.assert_allclose(clip.position[flash], [[38 / 96, 34 / 64]] * 2)


def test_thresholds_classes_and_frame_step_are_settings(video: Path) -> None:
    def kept(**changed: object) -> list[tuple[bool, float]]:
        settings = mot.Settings(**changed)  # type: ignore[arg-type]
        (clip, *_), _ = mot.clips_of(mot.read_video(video, settings), range(1, 65), settings, first_id=0)
        numbers = range(clip.object.max() + 1)
        return sorted(
            (bool(clip.persistent[clip.object == n][0]), float(clip.duration[clip.object == n][0]))
            for n in numbers
        )

    assert (False, 0.5) in kept(transient_share=0.5)
    assert kept(persistent_share=0.8) == [(False, 0.25), (True, 1.0)]
    assert kept(classes=(3,)) == [(False, 0.25), (True, 0.75)]
    assert kept(frame_step=2, transient_share=0.5) == [(False, 0.5), (True, 0.75), (True, 1.0)]


def test_a_clip_has_only_whole_objects_and_at_most_28_detections(video: Path) -> None:
    gt = video / "gt" / "gt.txt"
    crowd = [f"{frame},{200 + i},{i},{i},5,5,1,1,1" for i in range(20) for frame in range(1, 9)]
    crowd += [f"{frame},{300 + i},{i},{i},5,5,1,1,1" for i in range(20) for frame in (2, 3, 4)]
    gt.write_text(gt.read_text() + "\n".join(crowd))
    settings = mot.Settings()
    (clip,), _ = mot.clips_of(mot.read_video(video, settings), range(1, 9), settings, first_id=0)
    assert clip.object.shape == (28,)
    for number in range(clip.object.max() + 1):
        seen = int((clip.object == number).sum())
        assert seen / 8 == clip.duration[clip.object == number][0]
    assert 1 <= (clip.persistent & (clip.object >= 0)).sum() <= 14
    assert 12 <= (~clip.persistent & (clip.object >= 0)).sum() <= 14


def test_an_imported_folder_trains_and_is_evaluated(
    video: Path, tmp_path: Path, importing: Callable[..., str]
) -> None:
    own = tmp_path / "own"
    said = importing(video, "--output", own)
    assert said.splitlines()[0] == "train: 8 clips; 0 more lack a persistent or a transient object"
    dataset = data.open_own(own, tmp_path / "cache")
    assert {split: clips.id.tolist() for split, clips in dataset.splits.items()} == {
        "train": list(range(8)),
        "validation": [8],
        "test": [9],
    }
    common = ["--data-cache", str(tmp_path / "cache")]
    output = tmp_path / "output"
    options = ["--data", str(own), "--output", str(output), "--max-epochs", "1", "--check-every", "1"]
    for command in (
        ["train.py", *options, *common],
        ["evaluate.py", "--checkpoint", str(output / "checkpoints" / "epoch_001.pt"), *common],
    ):
        ended = subprocess.run(
            [sys.executable, str(WORKERS / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert " over 1 clips" in ended.stdout
    assert not (tmp_path / "cache").exists()  # nothing was generated


def test_what_is_there_is_never_overwritten_and_damage_is_told(
    video: Path, tmp_path: Path, importing: Callable[..., str]
) -> None:
    own = tmp_path / "own"
    importing(video, "--output", own)
    before = (own / "meta.json").stat()
    with pytest.raises(TrainingError, match="is there already"):
        importing(video, "--output", own)
    assert (own / "meta.json").stat() == before
    crops = np.load(own / "train-looks.npy")
    crops[0, 0, 0, 0, 0] ^= 1
    np.save(own / "train-looks.npy", crops)
    with pytest.raises(TrainingError, match="damaged"):
        data.open_own(own, tmp_path)
    with pytest.raises(TrainingError, match="no data set"):
        data.open_own(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,2,3,4,5", "has at least 6"),
        ("1,2,3,4,five,6", "could not convert string to float: 'five'"),
        ("1,2,3,4,nan,6", "not finite"),
        ("1.5,2,3,4,5,6", "whole numbers, seen 1.5"),
        ("1,2,3,4,0,6", "a box of 0 x 6 pixels"),
        ("999,2,3,4,5,6", "frame 999 has no image"),
        ("1,1,3,4,5,6", "object 1 is in frame 1 already (line 1)"),
    ],
)
def test_a_malformed_row_is_told_by_file_and_line(video: Path, row: str, said: str) -> None:
    gt = video / "gt" / "gt.txt"
    lines = gt.read_text().splitlines()
    gt.write_text("\n".join([*lines[:6], "", row, *lines[6:]]))
    with pytest.raises(TrainingError) as told:
        mot.read_video(video, mot.Settings())
    assert str(told.value).startswith(f"{gt}:8: ")
    assert said in str(told.value)


def _remove_a_frame(video: Path) -> None:
    (video / "img1" / "000040.png").unlink()


def _remove_all_frames(video: Path) -> None:
    for path in (video / "img1").iterdir():
        path.unlink()


def _remove_gt(video: Path) -> None:
    (video / "gt" / "gt.txt").unlink()


def _damage_a_frame(video: Path) -> None:
    (video / "img1" / "000003.png").write_bytes(b"no image")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_remove_a_frame, "frame 40 is missing between 000039.png and 000041.png"),
        (_remove_all_frames, "no images named by their frame's number"),
        (_remove_gt, "gt.txt: cannot be read (No such file"),
        (_damage_a_frame, "000003.png: cannot be read as an image"),
    ],
)
def test_what_is_missing_or_broken_is_one_line_and_leaves_nothing(
    video: Path, tmp_path: Path, damage: Callable[[Path], None], said: str, importing: Callable[..., str]
) -> None:
    damage(video)
    with pytest.raises(TrainingError) as told:
        importing(video, "--output", tmp_path / "own")
    assert "\n" not in str(told.value)
    assert said in str(told.value).replace("[Errno 2] ", "")
    assert not (tmp_path / "own").exists()


def test_no_frame_is_in_two_splits() -> None:
    parts = {split: import_mot.frames_of(split, list(range(1, 101)), 0.15) for split in data.SPLITS}
    assert [frame for split in data.SPLITS for frame in parts[split]] == list(range(1, 101))
    assert (len(parts["validation"]), len(parts["test"])) == (15, 15)


def test_too_short_a_video_and_thresholds_that_meet_are_told(
    video: Path, tmp_path: Path, importing: Callable[..., str]
) -> None:
    with pytest.raises(TrainingError, match="no clip for validation: it takes 8 frames"):
        importing(video, "--output", tmp_path / "own", "--held-out", "0.05")
    with pytest.raises(TrainingError, match="must be below --persistent-share"):
        importing(video, "--output", tmp_path / "own", "--persistent-share", "0.3")
