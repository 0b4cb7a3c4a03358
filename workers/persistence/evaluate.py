"""The judge: what a trained network attends to, and how often it is right, clip by clip.

Every branch of a race has this file byte for byte the same. It always runs in full precision, and it knows
neither how a network was trained nor which losses there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from persistence.data import Clips


class Objects(TypedDict):
    """One row per object of a few clips, for a picture: clip id, "persistent" or "transient", mean attention."""

    sample: list[int]
    kind: list[str]
    value: list[float]


@dataclass
class Judgement:
    """One row per clip that holds both kinds, in the order of the clips. Attention is in units of uniform: 1 is what
    a token gets when all are attended to alike."""

    id: list[int] = field(default_factory=list)
    persistent: list[float] = field(default_factory=list)  # mean attention that a persistent token receives
    transient: list[float] = field(default_factory=list)
    accuracy: list[float] = field(
        default_factory=list
    )  # share of the clip's tokens that are classified rightly
    loss: float = 0.0  # binary cross-entropy per token, summed over the tokens judged so far
    tokens: int = 0
    objects: Objects = field(
        default_factory=lambda: Objects(sample=[], kind=[], value=[])
    )  # of the first few clips

    @property
    def samples(self) -> dict[str, list[int] | list[float]]:
        """The columns of a check record."""
        return {
            "id": self.id,
            "persistent": self.persistent,
            "transient": self.transient,
            "accuracy": self.accuracy,
        }

    @property
    def metrics(self) -> dict[str, float]:
        """The plain metrics of a check record; named alike for every split, for the same criteria read them."""
        return {
            "val_loss": self.loss / max(self.tokens, 1),
            "val_accuracy": self.mean_accuracy,
            "val_attention_ratio": self.ratio,
        }

    @property
    def ratio(self) -> float:
        """mean(persistent) / mean(transient): the ratio of means. (Means of per-clip ratios blow up.)"""
        transient = sum(self.transient)
        return sum(self.persistent) / transient if transient > 0 else math.nan

    @property
    def mean_accuracy(self) -> float:
        """The mean over clips of the share of tokens that are right."""
        return sum(self.accuracy) / len(self.accuracy) if self.accuracy else math.nan

    def consistency(self, margin: float) -> float:
        """The share of clips whose own ratio is above the margin."""
        above = sum(p > margin * t for p, t in zip(self.persistent, self.transient, strict=True))
        return above / len(self.persistent) if self.persistent else math.nan


@torch.no_grad()
def judge(model: nn.Module, batches: Iterable[Clips], n_pictured: int = 4) -> Judgement:
    """Judge a network on clips. The network's mode (training or not) is left as it was found."""
    was_training = model.training
    model.eval()
    judgement = Judgement()
    for clips in batches:
        output = model(clips)
        received = attention_received(output.attention, clips.real)  # [B, N]
        _add_objects(judgement.objects, clips, received, n_pictured)
        _add_samples(judgement, clips, received, right=(output.logit > 0) == clips.persistent)
        _add_loss(judgement, clips, output.logit)
    model.train(was_training)
    return judgement


def attention_received(attention: tuple[Tensor, ...], real: Tensor) -> Tensor:
    """What each token receives, in units of uniform: per layer [B, H, N, N] -> [B, N].

    The mean over layers, heads and real queries of the attention paid to it, times the number of real tokens.
    """
    weights = torch.stack(attention).mean(dim=(0, 2))  # [B, N queries, N keys]
    total = (weights * real[:, :, None]).sum(dim=1)  # [B, N]; the mean over n queries, times n
    return torch.where(real, total, 0)


def _add_samples(judgement: Judgement, clips: Clips, received: Tensor, right: Tensor) -> None:
    """Add one row per clip. A clip that lacks a kind has no ratio and is left out."""
    persistent = clips.real & clips.persistent  # [B, N]
    transient = clips.real & ~clips.persistent
    judged = persistent.any(dim=1) & transient.any(dim=1)  # [B]
    judgement.id += clips.id[judged].tolist()
    judgement.persistent += _mean_where(received, persistent)[judged].tolist()
    judgement.transient += _mean_where(received, transient)[judged].tolist()
    judgement.accuracy += _mean_where(right.float(), clips.real)[judged].tolist()


def _add_loss(judgement: Judgement, clips: Clips, logit: Tensor) -> None:
    """Add the binary cross-entropy of every real token."""
    truth = clips.persistent[clips.real].float()  # [tokens]
    judgement.loss += float(F.binary_cross_entropy_with_logits(logit[clips.real], truth, reduction="sum"))
    judgement.tokens += len(truth)


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Each row's mean over the tokens where the mask holds: [B, N] -> [B]."""
    return torch.where(mask, values, 0).sum(dim=1) / mask.sum(dim=1)


def _add_objects(objects: Objects, clips: Clips, received: Tensor, n_pictured: int) -> None:
    """Add the mean attention that each object receives, until `n_pictured` clips are described."""
    for row in range(min(len(clips), n_pictured - len(set(objects["sample"])))):
        for number in range(int(clips.object[row].max()) + 1):
            tokens = clips.object[row] == number  # [N]
            if tokens.any():
                objects["sample"].append(int(clips.id[row]))
                objects["kind"].append("persistent" if clips.persistent[row][tokens][0] else "transient")
                objects["value"].append(float(received[row][tokens].mean()))
