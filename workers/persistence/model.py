"""A small transformer over the detections of a clip. It knows nothing of how it is trained.

B clips, N tokens, D = width, H = heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from persistence.data import Clips
from persistence.scene import N_FRAMES


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of the network. `frozen_features`: how many numbers describe a token, or 0 where it is a crop."""

    width: int = 256
    layers: int = 2
    heads: int = 4
    feedforward: int = 512
    dropout: float = 0.1
    frozen_features: int = 0


class Output(NamedTuple):
    """What the network says of each token, and where it looked."""

    logit: Tensor  # [B, N] above 0: persistent
    duration: Tensor  # [B, N] share of the frames in which the object is seen
    embedding: Tensor  # [B, N, D]
    attention: tuple[
        Tensor, ...
    ]  # per layer [B, H, N queries, N keys]; each query's row sums to 1 over real keys


class PersistenceTransformer(nn.Module):
    """Tokens in, one class and one duration per token out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.looks = FeatureEncoder(config) if config.frozen_features else CropEncoder(config)
        self.frame = nn.Embedding(N_FRAMES, width)
        self.position = nn.Linear(2, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.class_head = nn.Linear(width, 1)
        self.duration_head = nn.Linear(width, 1)

    def forward(self, clips: Clips) -> Output:
        """Read B clips. Padding is never attended to; what comes out for it means nothing."""
        x = (
            self.looks(clips.looks) + self.frame(clips.frame.int()) + self.position(clips.position)
        )  # [B, N, D]
        attention = []
        for layer in self.layers:
            x, layer_attention = layer(x, clips.real)
            attention.append(layer_attention)
        x = self.norm(x)
        return Output(self.class_head(x)[..., 0], self.duration_head(x)[..., 0], x, tuple(attention))


class CropEncoder(nn.Module):
    """16x16 crops to vectors: three convolutions that each halve the sides, then one linear map."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, stride=2, padding=1)
        self.project = nn.Linear(128 * 2 * 2, config.width)

    def forward(self, crops: Tensor) -> Tensor:
        """[B, N, 16, 16, 3] uint8 -> [B, N, D]."""
        b, n = crops.shape[:2]
        x = crops.flatten(0, 1).permute(0, 3, 1, 2)  # [B*N, 3, 16, 16]; bytes lie channels-last already
        x = x.float() / 127.5 - 1
        x = F.gelu(self.conv1(x))  # [B*N, 32, 8, 8]
        x = F.gelu(self.conv2(x))  # [B*N, 64, 4, 4]
        x = F.gelu(self.conv3(x))  # [B*N, 128, 2, 2]
        projected: Tensor = self.project(x.flatten(1))
        return projected.view(b, n, -1)


class FeatureEncoder(nn.Module):
    """Frozen features to vectors: one linear map."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.frozen_features, config.width)

    def forward(self, features: Tensor) -> Tensor:
        """[B, N, F] -> [B, N, D]."""
        projected: Tensor = self.project(features.float())
        return projected


class Layer(nn.Module):
    """One pre-norm transformer layer that also hands out its attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.feedforward)
        self.down = nn.Linear(config.feedforward, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, N, D], real [B, N] bool -> x [B, N, D], attention [B, H, N, N]."""
        attended, attention = self.attend(self.norm1(x), real)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))
        return x, attention

    def attend(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Multi-head self-attention, written out: the weights themselves are what is measured and trained."""
        b, n, d = x.shape
        q, k, v = (
            self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        )  # each [B, H, N, D/H]
        score = q @ k.transpose(-2, -1) * (d // self.heads) ** -0.5  # [B, H, N, N]
        score = score.float().masked_fill(~real[:, None, None, :], torch.finfo(torch.float32).min)
        attention = score.softmax(dim=-1)
        mixed = self.dropout(attention).to(v.dtype) @ v  # [B, H, N, D/H]
        return self.out(mixed.transpose(1, 2).reshape(b, n, d)), attention
