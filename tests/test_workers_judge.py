"""The judge on attention made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from persistence import evaluate, stopping
from persistence.data import Clips
from persistence.model import Output, PersistenceTransformer
from workers_samples import SMALL_MODEL, clips_of

pytestmark = pytest.mark.torch


class ByHand(nn.Module):
    """A network whose attention and logits are given."""

    def __init__(self, attention: tuple[Tensor, ...], logit: Tensor) -> None:
        super().__init__()
        self.attention = attention
        self.logit = logit

    def forward(self, _clips: Clips) -> Output:
        return Output(self.logit, self.logit, self.logit[..., None], self.attention)


def test_attention_is_the_mean_over_queries_heads_and_layers_in_units_of_uniform() -> None:
    # Two layers, two heads, three tokens of which one is padding: its row must not count, and gets nothing.
    def head(a: float, b: float) -> list[list[float]]:
        return [[a, 1 - a, 0], [b, 1 - b, 0], [1, 0, 0]]

    layer1 = torch.tensor([[head(0.9, 0.5), head(0.7, 0.5)]])
    layer2 = torch.tensor([[head(0.5, 0.5), head(0.5, 0.7)]])
    received = evaluate.attention_received((layer1, layer2), clips_of(["pt-"]).real)
    persistent = (0.9 + 0.5 + 0.7 + 0.5 + 0.5 + 0.5 + 0.5 + 0.7) / 8 * 2
    assert received[0].tolist() == pytest.approx([persistent, 2 - persistent, 0])


def test_each_clip_gives_one_row_of_means_over_its_tokens() -> None:
    attention = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]] * 4]])  # in units of uniform: 1.6, 1.2, 0.8, 0.4
    logit = torch.tensor([[1.0, -1.0, -1.0, 0.5]])  # right, wrong, right, wrong
    judgement = evaluate.judge(ByHand((attention,), logit), [clips_of(["pptt"])])
    assert judgement.samples["id"] == [0]
    assert judgement.persistent == pytest.approx([1.4])
    assert judgement.transient == pytest.approx([0.6])
    assert judgement.accuracy == pytest.approx([0.5])
    assert judgement.objects["kind"] == ["persistent", "persistent", "transient", "transient"]
    assert judgement.objects["value"] == pytest.approx([1.6, 1.2, 0.8, 0.4])
    cross_entropy = [math.log1p(math.exp(-z)) for z in (1.0, -1.0, 1.0, -0.5)]
    assert judgement.metrics["val_loss"] == pytest.approx(sum(cross_entropy) / 4)


def test_the_ratio_is_the_ratio_of_means_and_not_the_mean_of_ratios() -> None:
    judgement = evaluate.Judgement(
        id=[1, 2], persistent=[1.0, 3.0], transient=[0.5, 1.5], accuracy=[1.0, 0.5]
    )
    judgement.transient[1] = 0.1
    assert judgement.ratio == pytest.approx(4.0 / 0.6)
    assert judgement.mean_accuracy == pytest.approx(0.75)
    assert judgement.consistency(1.3) == 1.0
    assert judgement.consistency(2.0) == 0.5  # exactly at the margin is not above it


def test_a_clip_that_lacks_a_kind_is_left_out() -> None:
    clips = clips_of(["pt", "pp", "tt", "p-", "tp"])
    attention = torch.full((5, 1, 2, 2), 0.5)
    judgement = evaluate.judge(ByHand((attention,), torch.zeros(5, 2)), [clips])
    assert judgement.id == [0, 4]
    assert len(judgement.accuracy) == 2


def test_an_untrained_network_attends_to_both_kinds_alike_and_keeps_its_mode() -> None:
    torch.manual_seed(0)
    model = PersistenceTransformer(SMALL_MODEL)
    judgement = evaluate.judge(model, clips_of(["pptt-", "pttt-"] * 4).in_order(3))
    assert judgement.ratio == pytest.approx(1.0, abs=0.05)
    assert model.training
    assert sorted(set(judgement.objects["sample"])) == [
        0,
        1,
        2,
        3,
    ]  # the first few clips are pictured, across batches


def test_the_paired_test_agrees_with_scipy() -> None:
    from scipy import stats

    torch.manual_seed(0)
    a, b = (torch.rand(200) + 0.85).tolist(), (torch.rand(200) * 0.8 + 0.6).tolist()
    difference = [math.log(x / y / 1.3) for x, y in zip(a, b, strict=True)]
    expected = stats.wilcoxon(difference, alternative="greater", method="approx").pvalue
    assert 1e-6 < expected < 0.5
    assert stopping.p_greater(a, b, 1.3) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_the_paired_test_is_not_met_by_values_that_have_no_logarithm(bad: float) -> None:
    assert stopping.p_greater([2.0] * 30, [1.0] * 30, 1.3) < 1e-5
    assert stopping.p_greater([2.0] * 29 + [bad], [1.0] * 30, 1.3) == 1.0
    assert stopping.p_greater([], [], 1.3) == 1.0


def _judgement(*, ratio: float = 1.8, accuracy: float = 0.9, agreeing: int = 40) -> evaluate.Judgement:
    """40 clips, of which so many have this ratio and the others a ratio of 1."""
    return evaluate.Judgement(
        id=list(range(40)),
        persistent=[ratio] * agreeing + [1.0] * (40 - agreeing),
        transient=[1.0] * 40,
        accuracy=[accuracy] * 40,
    )


def test_the_goal_by_hand_needs_all_four_criteria() -> None:
    assert stopping.goal_is_reached(_judgement(), ratio=1.5)
    assert not stopping.goal_is_reached(_judgement(), ratio=1.9)
    assert not stopping.goal_is_reached(_judgement(accuracy=0.74), ratio=1.5)
    assert not stopping.goal_is_reached(
        _judgement(ratio=4.0, agreeing=27), ratio=1.5
    )  # 27 of 40 are less than 0.70
    few = evaluate.Judgement(id=[1, 2], persistent=[2.0, 2.0], transient=[1.0, 1.0], accuracy=[1.0, 1.0])
    assert not stopping.goal_is_reached(few, ratio=1.5)  # p is far above 0.01 with two clips
