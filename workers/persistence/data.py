"""The data set: clips on disk, memory-mapped and shared by all workers, and clips as tensors.

One `.npy` file per split and field, with `meta.json` beside them. Synthetic clips are written once per (seed, sizes);
a folder of somebody's own has the same form. The checksum covers every byte of every array and goes into each worker's
start record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from persistence import cache, scene
from persistence.errors import TrainingError
from persistence.reporting import with_progress

FORMAT = 1  # raise it when a clip of the same seed and id comes out differently
SPLITS = ("train", "validation", "test")
FIRST_ID = {"train": 0, "validation": 8000, "test": 9000}  # a clip has the same id and content in every form
FIRST_UNUSED_ID = 10_000  # from here on, no split has the clip
FULL = {"train": 8000, "validation": 1000, "test": 1000}
QUICK = {"train": 1500, "validation": 400, "test": 400}
ARRAYS = ("looks", "frame", "position", "object", "persistent", "duration")  # on disk, per split


@dataclass(frozen=True)
class Clips:
    """C clips of N tokens each: a whole split, or a batch of it. A token is one detection in one frame."""

    id: Tensor  # [C] int64
    looks: Tensor  # [C, N, 16, 16, 3] uint8 crops, or [C, N, F] frozen features of them
    frame: Tensor  # [C, N] uint8 0..7
    position: Tensor  # [C, N, 2] float (x, y) / 64
    object: Tensor  # [C, N] int8 which object of its clip, -1 for padding; never shown to a model
    persistent: Tensor  # [C, N] bool, the label
    duration: Tensor  # [C, N] float, share of the frames in which the token's object is seen

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, index: Tensor | slice) -> Clips:
        """Some of the clips: all fields, indexed alike."""
        return Clips(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @property
    def real(self) -> Tensor:
        """Which tokens are detections and not padding: [C, N] bool."""
        return self.object >= 0

    def to(self, device: torch.device) -> Clips:
        """The same clips on another device; on the same one nothing is copied."""
        return Clips(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def in_order(self, batch_size: int) -> Iterator[Clips]:
        """Batches of all clips in their order; the last one may be smaller."""
        for first in range(0, len(self), batch_size):
            yield self[first : first + batch_size]

    def shuffled(self, batch_size: int, seed: int, first_batch: int = 0) -> Iterator[Clips]:
        """Batches in an order that is a function of the seed, from batch number `first_batch` on."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        for first in range(first_batch * batch_size, len(self), batch_size):
            yield self[order[first : first + batch_size].to(self.id.device)]


@dataclass(frozen=True)
class Dataset:
    """The splits, memory-mapped, and the checksum of all their bytes ("sha256:…")."""

    splits: Mapping[str, Clips]  # by the names of SPLITS
    checksum: str
    folder: Path
    cache_folder: Path  # where what is computed from it is kept

    def with_splits(self, changed: Mapping[str, Clips]) -> Dataset:
        """The same data set with some of its splits replaced."""
        return replace(self, splits={**self.splits, **changed})


def open_dataset(cache_folder: Path, sizes: Mapping[str, int], seed: int = 0) -> Dataset:
    """The data set of these sizes (FULL, QUICK or smaller), generated first where the cache does not have it.

    Raises TrainingError where the cache cannot be written.
    """
    name = f"clips-v{FORMAT}-seed{seed}-" + "-".join(str(sizes[split]) for split in SPLITS)
    folder = cache_folder / name
    cache.made_once(folder, lambda path: _generate(path, sizes, seed), _is_intact)
    return _open(folder, cache_folder, FIRST_ID)


def open_own(folder: Path, cache_folder: Path) -> Dataset:
    """The data set in a folder that `import_mot.py` has written. Raises TrainingError where it is none, or damaged."""
    if not _is_intact(folder):
        raise TrainingError(
            f"--data {folder}: no data set in there, or a damaged one; import_mot.py writes one"
        )
    first_ids = json.loads((folder / "meta.json").read_text()).get("first_ids", FIRST_ID)
    return _open(folder, cache_folder, first_ids)


def _open(folder: Path, cache_folder: Path, first_ids: Mapping[str, int]) -> Dataset:
    """The data set in a folder that is intact."""
    return Dataset(
        splits={split: _open_split(folder, split, first_ids[split]) for split in SPLITS},
        checksum=json.loads((folder / "meta.json").read_text())["checksum"],
        folder=folder,
        cache_folder=cache_folder,
    )


def _open_split(folder: Path, split: str, first_id: int) -> Clips:
    """One split's arrays as tensors over shared memory ("c": private when written to, which nobody does)."""
    tensors = {
        name: torch.from_numpy(np.load(folder / f"{split}-{name}.npy", mmap_mode="c")) for name in ARRAYS
    }
    return Clips(id=torch.arange(len(tensors["frame"])) + first_id, **tensors)


def _generate(folder: Path, sizes: Mapping[str, int], seed: int) -> None:
    """Make every clip of every split, and describe them in meta.json."""
    for split in SPLITS:
        ids = range(FIRST_ID[split], FIRST_ID[split] + sizes[split])
        write_split(
            folder,
            split,
            [scene.make_clip(seed, clip_id) for clip_id in with_progress(ids, f"generating {split} clips")],
        )
    write_meta(folder, {"seed": seed, "sizes": dict(sizes)})


def write_split(folder: Path, split: str, clips: Sequence[scene.Clip]) -> None:
    """One split's arrays, a file each."""
    for name in ARRAYS:
        field = "crops" if name == "looks" else name
        np.save(folder / f"{split}-{name}.npy", np.stack([getattr(clip, field) for clip in clips]))


def write_meta(folder: Path, what: Mapping[str, Any]) -> None:
    """Say what the data are, once all splits are written: that makes the folder a data set."""
    meta = {"format": FORMAT, **what, "checksum": checksum(folder)}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def checksum(folder: Path) -> str:
    """sha256 over name, type, shape and content of every array of the data set."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for name in ARRAYS:
            array: npt.NDArray[np.generic] = np.load(folder / f"{split}-{name}.npy", mmap_mode="r")
            digest.update(f"{split} {name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
    return f"sha256:{digest.hexdigest()}"


def _is_intact(folder: Path) -> bool:
    """Whether all arrays are there and as they were written."""
    try:
        return bool(json.loads((folder / "meta.json").read_text())["checksum"] == checksum(folder))
    except (OSError, ValueError, KeyError):
        return False
