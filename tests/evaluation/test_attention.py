"""Attention recomputed beside the network, and its rollout."""

import math

import pytest
import timm
import torch
from timm.layers.attention import Attention
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

from deit.evaluation.attention import (
    attention_maps,
    attention_weights,
    has_attention_maps,
    recorded_attention,
    rollout,
)

SHAPE = {"img_size": 12, "patch_size": 4, "embed_dim": 8, "depth": 3, "num_heads": 2, "num_classes": 5}
NETWORKS = [
    VisionTransformer(**SHAPE),
    VisionTransformer(**SHAPE, qk_norm=True, reg_tokens=2),
    VisionTransformerDistilled(**SHAPE),
]
IMAGES = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_weights_are_the_softmax_of_scaled_products_as_worked_out_by_hand() -> None:
    attention = Attention(4, num_heads=2, qkv_bias=True)
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(attention.qkv.weight, generator=generator)
    torch.nn.init.normal_(attention.qkv.bias, generator=generator)
    tokens = torch.randn(1, 3, 4, generator=generator)
    with torch.no_grad():
        found = attention_weights(attention, tokens)
    weight, bias = attention.qkv.weight.tolist(), attention.qkv.bias.tolist()
    rows = [[sum(w * t for w, t in zip(weight[i], token, strict=True)) + bias[i] for i in range(8)]
            for token in tokens[0].tolist()]  # fmt: skip
    for head in range(2):
        queries = [row[2 * head : 2 * head + 2] for row in rows]
        keys = [row[4 + 2 * head : 6 + 2 * head] for row in rows]
        for i, query in enumerate(queries):
            powers = [math.exp((query[0] * key[0] + query[1] * key[1]) / math.sqrt(2)) for key in keys]
            assert found[0, head, i].tolist() == pytest.approx([power / sum(powers) for power in powers], abs=1e-6)


@pytest.mark.parametrize("net", NETWORKS, ids=["plain", "normed, registers", "distilled"])
def test_weights_times_values_are_what_timm_answers(net: VisionTransformer) -> None:
    attention = net.blocks[0].get_submodule("attn").eval()
    assert isinstance(attention, Attention)
    tokens = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        values = attention.qkv(tokens).unflatten(-1, (3, 2, 4))[:, :, 2].transpose(1, 2)
        mixed = (attention_weights(attention, tokens) @ values).transpose(1, 2).flatten(2)
        assert torch.allclose(attention.proj(mixed), attention(tokens), atol=1e-6)


@pytest.mark.parametrize("net", NETWORKS, ids=["plain", "normed, registers", "distilled"])
def test_recording_changes_no_answer_and_every_row_sums_to_one(net: VisionTransformer) -> None:
    net.eval()
    with torch.no_grad():
        before = net(IMAGES)
        with recorded_attention(net) as layers:
            assert torch.equal(net(IMAGES), before)
        net(IMAGES)
    tokens = 9 + net.num_prefix_tokens
    assert [layer.shape for layer in layers] == [(2, tokens, tokens)] * 3, "and after it nothing more is recorded"
    for rows in (*layers, rollout(layers)):
        assert torch.allclose(rows.sum(dim=-1), torch.ones(2, tokens), atol=1e-5)


def test_rollout_halves_with_the_identity_and_multiplies_from_the_last_block_down() -> None:
    first, last = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]]), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert torch.allclose(rollout([first, last]), torch.tensor([[[0.75, 0.25], [0.375, 0.625]]]))
    assert not torch.allclose(rollout([last, first]), rollout([first, last]))


def test_a_map_is_a_tokens_row_without_the_tokens_that_are_no_patches() -> None:
    layer = torch.arange(2 * 11 * 11.0).view(2, 11, 11)
    maps = attention_maps([layer], NETWORKS[2])
    assert list(maps) == ["class token", "distillation token", "attention rollout"]
    assert torch.equal(maps["class token"], layer[:, 0, 2:].view(2, 3, 3))
    assert torch.equal(maps["distillation token"], layer[:, 1, 2:].view(2, 3, 3))
    assert torch.equal(maps["attention rollout"], layer[:, 0, 2:].view(2, 3, 3) / 2)
    assert list(attention_maps([torch.ones(1, 10, 10)], NETWORKS[0])) == ["class token", "attention rollout"]


@pytest.mark.parametrize("name", ["resnet10t", "cait_xxs24_224", "vit_tiny_patch16_224", "vit_medium_patch16_gap_240"])
def test_only_a_class_token_among_patches_has_maps(name: str) -> None:
    with torch.device("meta"):
        assert has_attention_maps(timm.create_model(name)) == (name == "vit_tiny_patch16_224")
