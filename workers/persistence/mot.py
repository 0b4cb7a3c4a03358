"""A video with tracked objects, in MOTChallenge form, cut into clips of 8 frames.

img1/000001.jpg …    one image per frame, named by its number
gt/gt.txt            frame, object, left, top, width, height [, considered, class, visibility]

An object is persistent in a clip where it is seen in a large share of the clip's frames, and transient where in a
small one; what lies between is left out. Both thresholds are settings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from persistence import scene
from persistence.errors import TrainingError, first_line

MOST_OF_A_KIND = scene.MAX_TOKENS // 2
IMAGES = (".jpg", ".jpeg", ".png")
_CONSIDERED, _CLASS, _VISIBILITY = 6, 7, 8  # columns that not every file has


@dataclass(frozen=True)
class Settings:
    """What becomes a clip, and which object is of which kind."""

    persistent_share: float = 0.625  # of the clip's frames, at least: 5 of 8
    transient_share: float = 0.375  # at most: 3 of 8
    frame_step: int = 1  # every which frame of the video is one of the clip's
    stride: int | None = (
        None  # frames from the start of a clip to that of the next; None: no frame is in two clips
    )
    classes: tuple[int, ...] = ()  # only these; none: all
    min_visibility: float = 0.0
    seed: int = 0

    @property
    def span(self) -> int:
        """How many frames of the video a clip reaches over."""
        return (scene.N_FRAMES - 1) * self.frame_step + 1


@dataclass(frozen=True)
class Detection:
    """One row of gt.txt."""

    frame: int
    object: int
    box: tuple[float, float, float, float]  # left, top, width, height in pixels


@dataclass(frozen=True)
class Video:
    """A sequence of MOTChallenge: its images by frame number, without a gap, and its detections by frame."""

    folder: Path
    images: Mapping[int, Path]
    detections: Mapping[int, list[Detection]]


# -- reading ------------------------------------------------------------------------------------------------------


def read_video(folder: Path, settings: Settings) -> Video:
    """The images and rows of a folder. Raises TrainingError for what is missing or malformed, by file and line."""
    images = find_images(folder / "img1")
    path = folder / "gt" / "gt.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read ({first_line(error)})") from error
    detections: dict[int, list[Detection]] = {frame: [] for frame in images}
    seen: dict[tuple[int, int], int] = {}
    for number, line in enumerate(lines, start=1):
        row = parse_row(line, f"{path}:{number}", settings) if line.strip() else None
        if row is None:
            continue
        if row.frame not in images:
            raise TrainingError(f"{path}:{number}: frame {row.frame} has no image in {folder / 'img1'}")
        earlier = seen.setdefault((row.frame, row.object), number)
        if earlier != number:
            raise TrainingError(
                f"{path}:{number}: object {row.object} is in frame {row.frame} already (line {earlier})"
            )
        detections[row.frame].append(row)
    return Video(folder, images, detections)


def find_images(folder: Path) -> dict[int, Path]:
    """The images by frame number, in order. Raises TrainingError where there are none, or one is missing between."""
    if not folder.is_dir():
        raise TrainingError(
            f"{folder}: there is no such folder; a MOTChallenge sequence has its images there"
        )
    found = sorted(
        (int(path.stem), path)
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGES and path.stem.isascii() and path.stem.isdigit()
    )
    if not found:
        raise TrainingError(f"{folder}: no images named by their frame's number, such as 000001.jpg")
    for (before, path), (after, other) in itertools.pairwise(found):
        if after == before:
            raise TrainingError(f"{folder}: {path.name} and {other.name} are the same frame")
        if after > before + 1:
            raise TrainingError(
                f"{folder}: frame {before + 1} is missing between {path.name} and {other.name}"
            )
    return dict(found)


def parse_row(line: str, place: str, settings: Settings) -> Detection | None:
    """One row; None for one that is marked as not to be considered, or is filtered out. Raises TrainingError."""
    fields = line.split(",")
    if len(fields) < 6:
        raise TrainingError(
            f"{place}: {len(fields)} fields, but a row has at least 6: frame,id,left,top,width,height"
        )
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise TrainingError(f"{place}: {first_line(error)}") from error
    if not all(math.isfinite(value) for value in values):
        raise TrainingError(f"{place}: a value that is not finite")
    frame, number, left, top, width, height = values[:6]
    if frame != int(frame) or number != int(number):
        raise TrainingError(f"{place}: frame and id are whole numbers, seen {fields[0]} and {fields[1]}")
    if width <= 0 or height <= 0:
        raise TrainingError(f"{place}: a box of {width:g} x {height:g} pixels")
    if not is_wanted(values, settings):
        return None
    return Detection(int(frame), int(number), (left, top, width, height))


def is_wanted(values: list[float], settings: Settings) -> bool:
    """Whether the row is to be considered (its 7th field is not 0), of a wanted class, and visible enough."""
    if len(values) > _CONSIDERED and values[_CONSIDERED] == 0:
        return False
    if settings.classes and (len(values) <= _CLASS or values[_CLASS] not in settings.classes):
        return False
    visibility = values[_VISIBILITY] if len(values) > _VISIBILITY else -1
    return visibility < 0 or visibility >= settings.min_visibility  # -1: not told


# -- clips --------------------------------------------------------------------------------------------------------


def clips_of(
    video: Video, frames: Iterable[int], settings: Settings, first_id: int
) -> tuple[list[scene.Clip], int]:
    """All clips within these consecutive frames, and how many more were left out for lack of a kind."""
    within = list(frames)
    clips: list[scene.Clip] = []
    left_out = 0
    for start in range(0, len(within) - settings.span + 1, settings.stride or settings.span):
        window = within[start : start + settings.span : settings.frame_step]
        clip = make_clip(
            video, window, settings, np.random.default_rng([settings.seed, first_id + len(clips)])
        )
        if clip is None:
            left_out += 1
        else:
            clips.append(clip)
    return clips, left_out


def make_clip(
    video: Video, window: list[int], settings: Settings, rng: np.random.Generator
) -> scene.Clip | None:
    """The detections of 8 frames in random order, padded; None where one of the kinds is missing."""
    images = {frame: _open(video.images[frame]) for frame in window}
    tracks: dict[int, list[Detection]] = {}
    for frame in window:
        for detection in video.detections[frame]:
            if _inside(detection, images[frame]) is not None:
                tracks.setdefault(detection.object, []).append(detection)
    shares = {number: len(track) / scene.N_FRAMES for number, track in tracks.items()}
    persistent = [tracks[n] for n, share in shares.items() if share >= settings.persistent_share]
    transient = [tracks[n] for n, share in shares.items() if share <= settings.transient_share]
    if not persistent or not transient:
        return None
    kept = [(True, track) for track in whole_tracks(persistent, rng)]
    kept += [(False, track) for track in whole_tracks(transient, rng)]
    tokens = [(index, detection) for index, (_, track) in enumerate(kept) for detection in track]
    tokens = [tokens[i] for i in rng.permutation(len(tokens))]
    sized = [(images[d.frame], d) for _, d in tokens]
    padding = (0, scene.MAX_TOKENS - len(tokens))
    return scene.Clip(
        crops=np.pad(np.stack([_crop(image, d) for image, d in sized]), (padding, (0, 0), (0, 0), (0, 0))),
        frame=np.pad(np.array([window.index(d.frame) for _, d in tokens], np.uint8), padding),
        position=np.pad(np.array([_centre(image, d) for image, d in sized], np.float32), (padding, (0, 0))),
        object=np.pad(np.array([index for index, _ in tokens], np.int8), padding, constant_values=-1),
        persistent=np.pad(np.array([kept[index][0] for index, _ in tokens]), padding),
        duration=np.pad(
            np.array([len(kept[index][1]) for index, _ in tokens], np.float32) / scene.N_FRAMES, padding
        ),
    )


def whole_tracks(tracks: list[list[Detection]], rng: np.random.Generator) -> list[list[Detection]]:
    """Tracks of one kind, drawn at random, as many as have room: cut short, one would look like the other kind."""
    kept, room = [], MOST_OF_A_KIND
    for i in rng.permutation(len(tracks)):
        if len(tracks[i]) <= room:
            kept.append(tracks[i])
            room -= len(tracks[i])
    return kept


def _open(path: Path) -> Image.Image:
    """The image, read whole. Raises TrainingError where it is none."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read as an image ({first_line(error)})") from error


def _inside(detection: Detection, image: Image.Image) -> tuple[int, int, int, int] | None:
    """The part of the box that lies in the image, as (left, top, right, bottom), or None where none does."""
    left, top, width, height = detection.box
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1, y1 = min(image.width, math.ceil(left + width)), min(image.height, math.ceil(top + height))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _crop(image: Image.Image, detection: Detection) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What is seen of the object: [16, 16, 3]."""
    side = (scene.CROP_PX, scene.CROP_PX)
    return np.asarray(image.crop(_inside(detection, image)).resize(side, Image.Resampling.BOX), np.uint8)


def _centre(image: Image.Image, detection: Detection) -> tuple[float, float]:
    """The middle of the box as shares of the image's width and height, 0..1."""
    left, top, width, height = detection.box
    x, y = (left + width / 2) / image.width, (top + height / 2) / image.height
    return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
