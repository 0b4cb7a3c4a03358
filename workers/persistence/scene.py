"""One synthetic clip: which objects are seen when, and what each detection looks like.

A clip has 8 frames of a 64x64 scene. Two persistent objects are there throughout, but for an occlusion of up to two
frames and a few missed detections. Transient objects (flashes, flicker, passers-by) are seen in one to three frames;
they are added until both kinds have as many detections, so that counting gives nothing away. Both kinds draw their
looks from one distribution: what tells them apart is that the same object comes back in other frames. Two things make
it harder or easier: 30 % of the transient objects copy shape and one colour of a persistent one, 35 % carry a cue.

A clip is a pure function of (seed, clip id).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

N_FRAMES = 8
SCENE_PX = 64
CROP_PX = 16
MAX_TOKENS = 28  # N: detections per clip, at most half of them of either kind

N_PERSISTENT = 2
MAX_OCCLUSION = 2  # frames
P_MISSED = 0.06
LIFETIME_P = (0.3, 0.4, 0.3)  # of a transient object: 1, 2 or 3 frames
P_FLICKER = 0.3  # its frames do not touch one another
P_COPY = 0.3
P_CUE = 0.35
P_BAR = 0.15  # of crops: an occluding bar
NOISE_SIGMA = 8.0

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

PLAIN, BRIGHT, BLURRED = 0, 1, 2
N_SHAPES = 6  # disc, ring, square, triangle, cross, bar


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of a clip: its looks, its motion, and the frames in which it is detected."""

    persistent: bool
    frames: Ints  # [k], ascending
    shape: int
    colours: Floats  # [2, 3] of 0..255
    stripes: float  # periods across the crop
    angle: float  # in frame 0
    turn: float  # radians per frame
    cue: int
    start: Floats  # (x, y) in pixels, in frame 0
    velocity: Floats  # pixels per frame


@dataclass(frozen=True, slots=True)
class Clip:
    """The detections ("tokens") of one clip, shuffled, padded to N = MAX_TOKENS; padding is zero, with object -1."""

    crops: npt.NDArray[np.uint8]  # [N, 16, 16, 3]
    frame: npt.NDArray[np.uint8]  # [N] 0..7
    position: Floats  # [N, 2] (x, y) / 64
    object: npt.NDArray[np.int8]  # [N] which object of this clip; the model never sees it
    persistent: npt.NDArray[np.bool_]  # [N] the label
    duration: Floats  # [N] frames in which this token's object is seen / 8


def make_clip(seed: int, clip_id: int) -> Clip:
    """The clip of that id: the same for the same seed, whatever else is generated."""
    rng = np.random.default_rng([seed, clip_id])
    things = _persistent_things(rng)
    things += _transient_things(rng, things)
    return _detections(rng, things)


# -- who is seen when ---------------------------------------------------------------------------------------------


def _persistent_things(rng: np.random.Generator) -> list[Thing]:
    """Two objects seen throughout, but for one occlusion each and the misses of an imperfect detector."""
    things = []
    for _ in range(N_PERSISTENT):
        length = int(rng.integers(MAX_OCCLUSION + 1))
        first = int(rng.integers(N_FRAMES - length + 1))
        visible = np.delete(np.arange(N_FRAMES), np.s_[first : first + length])
        seen = visible[rng.random(len(visible)) >= P_MISSED]
        at_most = MAX_TOKENS // 2 // N_PERSISTENT
        frames = np.sort(rng.permutation(seen)[:at_most]) if len(seen) else visible[:1]
        things.append(_new_thing(rng, persistent=True, frames=frames))
    return things


def _transient_things(rng: np.random.Generator, persistent: list[Thing]) -> list[Thing]:
    """As many short-lived objects as it takes until both kinds have the same number of detections."""
    things = []
    missing = sum(len(thing.frames) for thing in persistent)
    while missing:
        frames = _short_life(rng)[:missing]
        model = persistent[rng.integers(len(persistent))] if rng.random() < P_COPY else None
        things.append(_new_thing(rng, persistent=False, frames=frames, copied_from=model))
        missing -= len(frames)
    return things


def _short_life(rng: np.random.Generator) -> Ints:
    """1 to 3 frames: one after the other, or (flicker) with a gap between any two."""
    k = 1 + int(rng.choice(3, p=LIFETIME_P))
    if rng.random() < P_FLICKER:
        # k of N-k+1 places, then one frame of distance more for each that comes before: no two are neighbours.
        return np.sort(rng.choice(N_FRAMES - k + 1, size=k, replace=False)) + np.arange(k)
    return np.arange(k) + rng.integers(N_FRAMES - k + 1)


def _new_thing(
    rng: np.random.Generator, *, persistent: bool, frames: Ints, copied_from: Thing | None = None
) -> Thing:
    """Looks and motion come from the same distribution for both kinds; copies and cues are for transient ones only."""
    shape = int(rng.integers(N_SHAPES))
    colours = rng.uniform(20, 235, size=(2, 3)).astype(np.float32)
    if copied_from is not None:
        shape = copied_from.shape
        colours[0] = copied_from.colours[0]
    cue = PLAIN
    if not persistent and rng.random() < P_CUE:
        cue = BRIGHT if rng.random() < 0.5 else BLURRED
    return Thing(
        persistent=persistent,
        frames=frames,
        shape=shape,
        colours=colours,
        stripes=float(rng.uniform(0.5, 2.5)),
        angle=float(rng.uniform(0, 2 * np.pi)),
        turn=float(rng.uniform(-0.25, 0.25)),
        cue=cue,
        start=rng.uniform(8, SCENE_PX - 8, size=2).astype(np.float32),
        velocity=rng.uniform(-3, 3, size=2).astype(np.float32),
    )


def _detections(rng: np.random.Generator, things: list[Thing]) -> Clip:
    """One token per object and frame in which it is seen, in random order, padded to MAX_TOKENS."""
    pairs = [(index, frame) for index, thing in enumerate(things) for frame in thing.frames]
    order = rng.permutation(len(pairs))
    index, frame = np.array(pairs)[order].T  # [n], [n]
    seen_by = [things[i] for i in index]
    start = np.stack([thing.start for thing in seen_by])  # [n, 2]
    velocity = np.stack([thing.velocity for thing in seen_by])
    xy = start + velocity * frame[:, None] + rng.normal(0, 0.5, size=start.shape)
    padding = (0, MAX_TOKENS - len(pairs))
    return Clip(
        crops=np.pad(render(rng, seen_by, frame), (padding, (0, 0), (0, 0), (0, 0))),
        frame=np.pad(frame.astype(np.uint8), padding),
        position=np.pad((np.clip(xy, 0, SCENE_PX) / SCENE_PX).astype(np.float32), (padding, (0, 0))),
        object=np.pad(index.astype(np.int8), padding, constant_values=-1),
        persistent=np.pad(np.array([thing.persistent for thing in seen_by]), padding),
        duration=np.pad(np.array([len(t.frames) for t in seen_by], np.float32) / N_FRAMES, padding),
    )


# -- what it looks like -------------------------------------------------------------------------------------------

_AXIS = (np.arange(CROP_PX, dtype=np.float32) + 0.5) * (2 / CROP_PX) - 1
_X, _Y = np.meshgrid(_AXIS, _AXIS)  # [16, 16] each, -1..1
_PIXEL = 2 / CROP_PX


def render(rng: np.random.Generator, things: list[Thing], frame: Ints) -> npt.NDArray[np.uint8]:
    """The crops [n, 16, 16, 3] of these n objects, each as seen in its frame."""
    n = len(things)
    angle = _column([t.angle + t.turn * f for t, f in zip(things, frame, strict=True)])
    scale = _column(rng.uniform(0.8, 1.1, size=n))
    u = (np.cos(angle) * _X + np.sin(angle) * _Y) / scale  # [n, 16, 16], the object's own axes
    v = (np.cos(angle) * _Y - np.sin(angle) * _X) / scale
    inside = np.clip(0.5 - _distance(u, v, np.array([t.shape for t in things])) * scale / _PIXEL, 0, 1)
    stripe = 0.5 + 0.5 * np.clip(3 * np.sin(np.pi * _column([t.stripes for t in things]) * u + 0.6), -1, 1)
    colours = np.stack([t.colours for t in things])[:, :, None, None, :]  # [n, 2, 1, 1, 3]
    surface = colours[:, 0] + stripe[..., None] * (colours[:, 1] - colours[:, 0])  # [n, 16, 16, 3]
    cue = np.array([t.cue for t in things])
    brightness = rng.uniform(0.85, 1.15, size=n) * np.where(cue == BRIGHT, 1.35, 1.0)
    image = 60 + inside[..., None] * (surface * brightness.astype(np.float32)[:, None, None, None] - 60)
    image[cue == BLURRED] = _blur(_blur(image[cue == BLURRED]))
    _draw_bars(rng, image)
    image += NOISE_SIGMA * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(image + 0.5, 0, 255), dtype=np.uint8)


def _column(values: npt.ArrayLike) -> Floats:
    """[n] -> [n, 1, 1], to meet the pixels."""
    return np.asarray(values, dtype=np.float32)[:, None, None]


def _distance(u: Floats, v: Floats, shape: Ints) -> Floats:
    """How far outside its shape each point lies (negative: inside), [n, 16, 16]."""
    a, b = np.abs(u), np.abs(v)
    r = np.hypot(u, v)
    every = (
        r - 0.8,  # disc
        np.abs(r - 0.6) - 0.22,  # ring
        np.maximum(a, b) - 0.65,  # square
        np.maximum(0.866 * a + 0.5 * v, -v) - 0.45,  # triangle
        np.maximum(np.minimum(a, b) - 0.25, np.maximum(a, b) - 0.85),  # cross
        np.maximum(a - 0.9, b - 0.35),  # bar
    )
    return np.stack(every)[shape, np.arange(len(shape))].astype(np.float32)


def _blur(image: Floats) -> Floats:
    """A 3x3 box blur of [n, 16, 16, 3]; the border repeats."""
    p = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = p[:, :-2] + p[:, 1:-1] + p[:, 2:]
    return np.asarray((rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9, dtype=np.float32)


def _draw_bars(rng: np.random.Generator, image: Floats) -> None:
    """Something grey passes in front of 15 % of the crops: 4 pixels wide, across or down."""
    for crop in image[rng.random(len(image)) < P_BAR]:
        first = int(rng.integers(CROP_PX - 3))
        across = crop if rng.random() < 0.5 else crop.swapaxes(0, 1)
        across[first : first + 4] = 110
