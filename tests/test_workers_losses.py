"""Each loss against a case worked out by hand, where its gradient goes, and what it makes of degenerate clips."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from persistence import losses
from persistence.model import PersistenceTransformer
from workers_samples import SMALL_MODEL, clips_of

pytestmark = pytest.mark.torch

DEGENERATE = {
    "no persistent": "tt",
    "no transient": "pp",
    "one token": "p",
    "padding only": "---",
    "mixed": "pt",
}


def test_classification_is_the_mean_cross_entropy_of_the_real_tokens() -> None:
    logit = torch.tensor([[0.0, math.log(3), 50.0]])  # s(0) = 1/2, s(log 3) = 3/4; the last one is padding
    loss = losses.classification(logit, clips_of(["pt-"]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_attention_gap_is_what_transient_tokens_receive_beyond_persistent_ones() -> None:
    # One clip, one head. Columns are what a token receives: p (.2+.4)/2, t (.5+.1)/2 and (.3+.5)/2; the padding's row
    # does not count, and so nor does what it pays.
    attention = torch.tensor([[[[0.2, 0.5, 0.3, 0], [0.4, 0.1, 0.5, 0], [0.0, 0.0, 0.0, 0], [1, 0, 0, 0]]]])
    clips = clips_of(["ptt-"])
    attention[0, 0, 2] = torch.tensor([0.3, 0.3, 0.4, 0])
    received = [(0.2 + 0.4 + 0.3) / 3, (0.5 + 0.1 + 0.3) / 3, (0.3 + 0.5 + 0.4) / 3]
    expected = (received[1] + received[2]) / 2 - received[0]
    assert losses.attention_gap(attention, clips, cap=1.0).item() == pytest.approx(expected)


def test_attention_gap_is_the_sum_over_heads_and_the_mean_over_clips_that_can_be_compared() -> None:
    favours_p, favours_t = torch.tensor([[0.8, 0.2], [0.8, 0.2]]), torch.tensor([[0.3, 0.7], [0.3, 0.7]])
    attention = torch.stack([torch.stack([favours_p, favours_t]), torch.stack([favours_p, favours_p])])
    both_heads = (0.2 + 0.7) - (0.8 + 0.3)
    assert losses.attention_gap(attention, clips_of(["pt", "pp"]), cap=1.0).item() == pytest.approx(
        both_heads
    )


def test_attention_gap_gains_nothing_beyond_its_cap() -> None:
    attention = torch.tensor([[[[0.9, 0.1], [0.9, 0.1]]]], requires_grad=True)  # a gap of -0.8
    loss = losses.attention_gap(attention, clips_of(["pt"]), cap=0.5)
    (gradient,) = torch.autograd.grad(loss, attention)
    assert loss.item() == pytest.approx(-0.5)
    assert gradient.abs().max() == 0


def test_contrastive_pulls_one_kind_together_and_two_apart_down_to_the_margin() -> None:
    # Cosines: p-p 0, p-t 1 and 0. Together: 1 - 0; apart: the mean of 1 - 0.5 and max(0, 0 - 0.5).
    embedding = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [9.0, 9.0]]])
    assert losses.contrastive(embedding, clips_of(["ppt-"]), margin=0.5).item() == pytest.approx(1 + 0.25)


def test_duration_is_the_mean_squared_error_over_real_tokens() -> None:
    predicted = torch.tensor([[0.5, 0.75, 7.0]])  # against 0.75 and 0.25
    assert losses.duration(predicted, clips_of(["pt-"])).item() == pytest.approx((0.0625 + 0.25) / 2)


@pytest.mark.parametrize("kinds", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_every_loss_is_finite_on_degenerate_clips_and_has_a_finite_gradient(kinds: str) -> None:
    torch.manual_seed(0)
    clips = clips_of([kinds])
    model = PersistenceTransformer(SMALL_MODEL)
    output = model(clips)
    terms = [
        losses.classification(output.logit, clips),
        losses.attention_gap(output.attention[-1], clips, cap=0.06),
        losses.contrastive(output.embedding, clips, margin=0.5),
        losses.duration(output.duration, clips),
    ]
    total = torch.stack(terms).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kinds", ["tt", "pp", "p", "---"])
def test_clips_that_lack_a_kind_add_nothing_to_the_attention_gap(kinds: str) -> None:
    clips = clips_of([kinds])
    attention = torch.full((1, 1, len(kinds), len(kinds)), 1 / len(kinds))
    assert losses.attention_gap(attention, clips, cap=1.0).item() == 0


def _gradient_norms(loss_name: str) -> dict[str, float]:
    """How strongly one loss pulls at each parameter of the network."""
    torch.manual_seed(0)
    clips = clips_of(["ppttt", "ptt--"])
    clips.position.uniform_()  # tokens that are all alike would have no gradient to find
    model = PersistenceTransformer(SMALL_MODEL).eval()
    output = model(clips)
    by_name: dict[str, Tensor] = {
        "classification": losses.classification(output.logit, clips),
        "attention": losses.attention_gap(output.attention[-1], clips, cap=1.0),
        "contrastive": losses.contrastive(output.embedding, clips, margin=0.5),
        "duration": losses.duration(output.duration, clips),
    }
    by_name[loss_name].backward()  # type: ignore[no-untyped-call]
    return {n: 0.0 if p.grad is None else float(p.grad.norm()) for n, p in model.named_parameters()}


@pytest.mark.parametrize("loss_name", ["classification", "attention", "contrastive", "duration"])
def test_the_gradient_of_every_loss_reaches_what_reads_the_crops(loss_name: str) -> None:
    norms = _gradient_norms(loss_name)
    assert norms["position.weight"] > 0
    assert norms["looks.conv1.bias"] > 0
    assert norms["layers.1.qkv.weight"] > 0


def test_each_head_is_pulled_by_its_own_loss_alone() -> None:
    reach = {name: _gradient_norms(name) for name in ("classification", "attention", "duration")}
    assert [reach[name]["class_head.weight"] > 0 for name in reach] == [True, False, False]
    assert [reach[name]["duration_head.weight"] > 0 for name in reach] == [False, False, True]


def test_a_step_down_the_attention_gap_moves_attention_to_persistent_tokens() -> None:
    score = torch.zeros(1, 1, 3, 3, requires_grad=True)
    clips = clips_of(["ptt"])
    loss = losses.attention_gap(score.softmax(dim=-1), clips, cap=1.0)
    (gradient,) = torch.autograd.grad(loss, score)
    assert (gradient[..., 0] < 0).all()
    assert (gradient[..., 1:] > 0).all()
