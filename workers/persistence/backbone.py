"""A frozen, pre-trained ResNet-18: what it makes of every crop is computed once and kept.

The weights are ImageNet's, through torchvision's own cache or download, or a file's: the user's, or what
`selfsupervision` has trained. Random weights are never put in their place.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pickle
import socket
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from persistence import cache
from persistence.data import Clips, Dataset
from persistence.errors import TrainingError, first_line
from persistence.options import computes_bf16
from persistence.reporting import with_progress

N_FEATURES = 512
IMAGENET = "imagenet"
_MEAN, _STD = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # of the images that ImageNet's weights were trained with
_BATCH = 16  # clips
_DOWNLOAD_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Backbone:
    """The weights of a ResNet-18 up to its last pooling, and what they are."""

    weights: Mapping[str, Tensor]
    source: str  # "imagenet", or the path of a file
    sha256: str
    description: str  # for start records


@dataclass(frozen=True)
class FeatureSpec:
    """Which features a network was trained on; kept in its checkpoints."""

    source: str
    sha256: str  # of the weights
    side_px: int  # the crops are enlarged to this


def load_backbone(source: str) -> Backbone:
    """ImageNet's weights for "imagenet", else those of a file with a state dict of torchvision's resnet18.

    Raises TrainingError, in one line, where they cannot be had or are something else.
    """
    weights = _imagenet_weights() if source == IMAGENET else _weights_of(Path(source))
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
    _build(weights, source)
    name = source if source == IMAGENET else str(Path(source).resolve())
    return Backbone(weights, name, _sha256(weights), description=name)


def with_features(data: Dataset, spec: FeatureSpec, splits: tuple[str, ...], device: torch.device) -> Dataset:
    """The data set with frozen features for looks ([C, N, 512] float16, memory-mapped) in these splits.

    They are computed once per data set, weights and size, and shared; the weights are read only when it is needed.
    Raises TrainingError where they cannot be had, or are no longer those of the spec.
    """
    features = {split: _features(data, split, spec, device) for split in splits}
    return data.with_splits(
        {split: replace(data.splits[split], looks=looks) for split, looks in features.items()}
    )


def _features(data: Dataset, split: str, spec: FeatureSpec, device: torch.device) -> Tensor:
    """The features of one split, out of the cache; computed first where it does not have them."""
    data_key = data.checksum.removeprefix("sha256:")[:16]
    folder = data.cache_folder / f"resnet18-{spec.sha256[:16]}-{spec.side_px}px-of-{data_key}-{split}"
    cache.made_once(
        folder,
        lambda path: _compute(path, data.splits[split], spec, f"features of {split} crops", device),
        lambda path: (path / "meta.json").exists(),
    )
    return torch.from_numpy(np.load(folder / "features.npy", mmap_mode="c"))


def _compute(folder: Path, clips: Clips, spec: FeatureSpec, what: str, device: torch.device) -> None:
    """Send every real crop of C clips through the frozen network; padding stays zero."""
    backbone = load_backbone(spec.source)
    if backbone.sha256 != spec.sha256:
        raise TrainingError(f"{spec.source} no longer holds the weights that the checkpoint was trained on")
    resnet = _build(backbone.weights, spec.source).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = np.lib.format.open_memmap(
        folder / "features.npy", mode="w+", dtype=np.float16, shape=(*clips.frame.shape, N_FEATURES)
    )
    firsts = range(0, len(clips), _BATCH)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=computes_bf16(device)):
        for first in with_progress(firsts, what):
            batch = clips[first : first + _BATCH]
            crops = batch.looks[batch.real].to(device)  # [M, 16, 16, 3]
            row = np.zeros((len(batch), batch.frame.shape[1], N_FEATURES), np.float16)
            row[batch.real.numpy()] = resnet(enlarge(crops, spec.side_px)).half().cpu().numpy()
            features[first : first + _BATCH] = row
    features.flush()
    (folder / "meta.json").write_text(json.dumps({"weights": spec.source, "sha256": spec.sha256}) + "\n")


def enlarge(crops: Tensor, side_px: int) -> Tensor:
    """uint8 [M, 16, 16, 3] -> float [M, 3, side, side], scaled and centred as the backbone's training images were."""
    x = crops.permute(0, 3, 1, 2).float() / 255  # [M, 3, 16, 16], channels-last in memory
    x = F.interpolate(x, size=(side_px, side_px), mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(values, device=x.device).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    return (x - mean) / std


# -- where weights come from --------------------------------------------------------------------------------------


def _imagenet_weights() -> dict[str, Tensor]:
    """ImageNet's weights out of torch's cache, else downloaded there."""
    resnet18_weights = import_torchvision_models().ResNet18_Weights.IMAGENET1K_V1
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(
        _DOWNLOAD_TIMEOUT_S
    )  # torchvision sets none, and a dead line would wait for ever
    try:
        weights: dict[str, Tensor] = resnet18_weights.get_state_dict(progress=False, check_hash=True)
    except (
        OSError,
        RuntimeError,
    ) as error:  # URLError and HTTPError are OSErrors; a wrong hash is a RuntimeError
        raise TrainingError(
            f"no ImageNet weights: not in torch's cache, and the download failed ({first_line(error)}); "
            "try --weights self-supervised, or a file with --weights FILE"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return weights


def _weights_of(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, or under its key "state_dict"."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise TrainingError(f"--weights {path}: {first_line(error)}") from error
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise TrainingError(f"--weights {path}: holds no state dict of a ResNet-18")
    return dict(content)


def _build(weights: Mapping[str, Tensor], source: str) -> nn.Module:
    """The frozen network, its classifier removed. Raises TrainingError where the weights do not fit."""
    resnet: nn.Module = import_torchvision_models().resnet18(weights=None)
    resnet.fc = nn.Identity()
    try:
        resnet.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"--weights {source}: not a ResNet-18 ({first_line(error)})") from error
    return resnet.eval().requires_grad_(requires_grad=False)


def _sha256(weights: Mapping[str, Tensor]) -> str:
    """Of the numbers themselves, so that the same weights in another file are the same."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def import_torchvision_models() -> Any:
    """`torchvision.models`, also beside a build of torch that torchvision's compiled part does not load into.

    With PyPI's torchvision and a CPU-only torch, `import torchvision` fails: its compiled operators are missing, and
    `torchvision._meta_registrations` insists on them. Networks need none of them; an empty module in its place lets
    the rest be imported. Only done where the plain import fails.
    """
    try:
        return importlib.import_module("torchvision.models")
    except ModuleNotFoundError as error:
        raise TrainingError("torchvision is not installed: pip install 'wtrace[train]'") from error
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
        return importlib.import_module("torchvision.models")
