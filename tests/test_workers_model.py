"""The network: what it may see, and that what it hands out is attention."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from persistence import data, scene
from persistence.model import ModelConfig, Output, PersistenceTransformer
from workers_samples import SMALL_MODEL, TINY

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> data.Clips:
    return data.open_dataset(tmp_path_factory.mktemp("cache"), TINY).splits["validation"]


@pytest.fixture(scope="module")
def model() -> PersistenceTransformer:
    torch.manual_seed(0)
    return PersistenceTransformer(SMALL_MODEL).eval()


def _on_real_tokens(output: Output, real: torch.Tensor) -> torch.Tensor:
    return torch.cat([output.logit[real], output.duration[real], output.embedding[real].flatten()])


def test_each_query_spreads_its_attention_over_the_real_tokens(
    model: PersistenceTransformer, clips: data.Clips
) -> None:
    output = model(clips)
    assert len(output.attention) == SMALL_MODEL.layers
    for attention in output.attention:
        assert attention.shape == (len(clips), SMALL_MODEL.heads, scene.MAX_TOKENS, scene.MAX_TOKENS)
        assert torch.allclose(attention.sum(dim=-1), torch.ones(()))
        assert attention.transpose(1, 3)[~clips.real].abs().max() == 0  # [B, N keys, N queries, H]


def test_what_stands_in_the_padding_changes_nothing(model: PersistenceTransformer, clips: data.Clips) -> None:
    assert not clips.real.all()
    looks, frame = clips.looks.clone(), clips.frame.clone()
    looks[~clips.real] = 200
    frame[~clips.real] = 7
    changed = dataclasses.replace(clips, looks=looks, frame=frame)
    before, after = (_on_real_tokens(model(c), clips.real) for c in (clips, changed))
    assert torch.allclose(before, after, atol=1e-5)


def test_labels_are_not_seen(model: PersistenceTransformer, clips: data.Clips) -> None:
    told = dataclasses.replace(
        clips,
        object=torch.where(clips.real, 0, clips.object),
        persistent=~clips.persistent,
        duration=clips.duration + 1,
        id=clips.id + 1,
    )
    assert torch.equal(model(told).logit, model(clips).logit)


@pytest.mark.parametrize("field", ["looks", "frame", "position"])
def test_looks_time_and_place_are_seen(model: PersistenceTransformer, clips: data.Clips, field: str) -> None:
    changed = dataclasses.replace(clips, **{field: torch.flip(getattr(clips, field), dims=[0])})
    assert not torch.allclose(model(changed).logit[clips.real], model(clips).logit[clips.real], atol=1e-4)


def test_the_order_of_the_tokens_means_nothing(model: PersistenceTransformer, clips: data.Clips) -> None:
    order = torch.randperm(scene.MAX_TOKENS, generator=torch.Generator().manual_seed(1))
    shuffled = data.Clips(id=clips.id, **{name: getattr(clips, name)[:, order] for name in data.ARRAYS})
    real = clips.real[:, order]
    assert torch.allclose(model(shuffled).logit[real], model(clips).logit[:, order][real], atol=1e-5)


def test_the_shipped_network_has_the_size_that_the_documentation_says() -> None:
    config = ModelConfig()
    assert dataclasses.astuple(config) == (256, 2, 4, 512, 0.1, 0)
    weights = sum(parameter.numel() for parameter in PersistenceTransformer(config).parameters())
    assert weights == pytest.approx(1.28e6, rel=0.01)
