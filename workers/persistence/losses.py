"""Each loss one small function. B clips, N tokens, D numbers per embedding, H heads; padding never counts.

A clip that lacks a kind (no persistent token, or no transient one) has nothing to compare: it adds 0 to the losses
that compare kinds, and the result stays finite and differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from persistence.data import Clips


def classification(logit: Tensor, clips: Clips) -> Tensor:
    """Binary cross-entropy of "this token's object is persistent", the mean over all real tokens.

    loss = -mean(y log s(z) + (1 - y) log(1 - s(z))), s the logistic function; logit z [B, N] -> scalar.
    """
    loss = F.binary_cross_entropy_with_logits(
        logit.float(), clips.persistent.float(), reduction="none"
    )  # [B, N]
    return masked_mean(loss, clips.real)


def attention_gap(attention: Tensor, clips: Clips, cap: float) -> Tensor:
    """Attention that transient tokens receive beyond persistent ones, at least -cap, the mean over clips.

    attention [B, H, N, N] of one layer. A token j receives r_j = sum over heads h of the mean over real queries i of
    A[h, i, j]; loss = mean over clips of max(mean r_j over transient j - mean r_j over persistent j, -cap).
    Raw attention, which is small (H / N for every token when all get the same), and not in units of uniform: so its
    pull is gentle, and where to look is not settled before the network can tell what it sees. Without the cap it is
    never satisfied, and goes on draining the attention by which transient tokens are recognised.
    """
    received = attention_received(attention.float(), clips.real)  # [B, N]
    persistent = clips.persistent & clips.real
    transient = ~clips.persistent & clips.real
    gap = per_clip_mean(received, transient) - per_clip_mean(received, persistent)  # [B]
    comparable = persistent.any(dim=1) & transient.any(dim=1)  # [B]
    return masked_mean(gap.clamp(min=-cap), comparable)


def contrastive(embedding: Tensor, clips: Clips, margin: float) -> Tensor:
    """Tokens of one kind together, of different kinds apart, over all pairs of real tokens of one clip.

    embedding [B, N, D]. With c = cos(z_i, z_j): 1 - c for a pair of one kind, max(0, c - margin) for a mixed one.
    The pairs of one kind and the mixed ones weigh alike, however many there are.
    Source: Hadsell, Chopra, LeCun 2006, in the cosine form of torch.nn.CosineEmbeddingLoss.
    """
    unit = F.normalize(embedding.float(), dim=-1)
    cosine = unit @ unit.transpose(1, 2)  # [B, N, N]
    both_real = clips.real[:, :, None] & clips.real[:, None, :]
    pair = both_real.triu(diagonal=1)  # i < j: each pair once, no token with itself
    alike = clips.persistent[:, :, None] == clips.persistent[:, None, :]
    together = masked_mean(1 - cosine, pair & alike)
    apart = masked_mean((cosine - margin).clamp(min=0), pair & ~alike)
    return together + apart


def duration(predicted: Tensor, clips: Clips) -> Tensor:
    """Mean squared error of the share of frames in which a token's object is seen; predicted [B, N] -> scalar.

    The second task of the multi-task approach (Caruana 1997): the same features must also tell for how long.
    """
    return masked_mean((predicted.float() - clips.duration) ** 2, clips.real)


def attention_received(attention: Tensor, real: Tensor) -> Tensor:
    """What each token gets of real queries, their mean, and of all heads, their sum: [B, H, N, N] -> [B, N]."""
    queries = real[:, None, :, None].to(attention.dtype)  # [B, 1, N, 1]
    n_queries = real.sum(dim=1, keepdim=True).clamp(min=1)  # [B, 1]
    return (attention * queries).sum(dim=(1, 2)) / n_queries


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values where the mask holds; 0 where it holds nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def per_clip_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The same for each row: [B, N] -> [B]."""
    return torch.where(mask, values, 0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
