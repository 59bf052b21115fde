"""Where a transformer looks: its attention, recomputed beside a forward pass that stays as it is, and its rollout.

Shapes: B batch, L blocks, T tokens (P that are no patches first, then h x w patches), D width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from timm.layers.attention import Attention
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn


def has_attention_maps(net: nn.Module) -> bool:
    """Whether each block of ``net`` has attention between all tokens, and the class is read off a token of its own."""
    return (
        isinstance(net, VisionTransformer)
        and net.cls_token is not None
        and net.global_pool == "token"
        and all(isinstance(getattr(block, "attn", None), Attention) for block in net.blocks)
    )


def attention_weights(attention: Attention, tokens: Tensor) -> Tensor:
    """What timm's attention multiplies its values by: softmax of the scaled products of queries and keys.

    timm's fused kernels never form it, so it is computed once more from the same weights.

    tokens: (B, T, D), as ``attention`` is given them.

    Returns (B, heads, T, T) float32, rows that sum to 1: from each token to all.
    """
    queries, keys, _ = attention.qkv(tokens).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)  # (B, T, heads, ·)
    queries, keys = attention.q_norm(queries).transpose(1, 2), attention.k_norm(keys).transpose(1, 2)
    return ((queries * attention.scale) @ keys.transpose(-2, -1)).float().softmax(dim=-1)


@contextmanager
def recorded_attention(net: VisionTransformer) -> Iterator[list[Tensor]]:
    """While this is open, each forward pass of ``net`` adds L tensors to the list: (B, T, T), the mean over heads.

    What the network answers is untouched.
    """
    seen: list[Tensor] = []

    def look(attention: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(attention, Attention), "has_attention_maps says so"
        seen.append(attention_weights(attention, given[0]).mean(dim=1))

    handles = [block.get_submodule("attn").register_forward_pre_hook(look) for block in net.blocks]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def rollout(layers: Sequence[Tensor]) -> Tensor:
    """Attention rollout (Abnar & Zuidema 2020, section 3): how much of each token comes from each.

    Half of what a block gives on is its residual connection, half its attention; blocks multiply.

    layers: L of (B, T, T), the mean over heads, the first block first.

    Returns (B, T, T), rows that sum to 1.
    """
    identity = torch.eye(layers[0].shape[-1], device=layers[0].device)
    rolled = identity.expand_as(layers[0])
    for layer in layers:
        rolled = (layer + identity) / 2 @ rolled
    return rolled


def attention_maps(layers: Sequence[Tensor], net: VisionTransformer) -> dict[str, Tensor]:
    """How much the tokens that are read off look at each patch: (B, h, w) by the name of the map.

    ``class token`` and, where there is one, ``distillation token`` in the last block; ``attention rollout`` of the
    class token over all blocks.

    layers: what `recorded_attention` gave for one forward pass.
    """
    rows = {"class token": layers[-1][:, 0]}
    if isinstance(net, VisionTransformerDistilled):
        rows["distillation token"] = layers[-1][:, 1]
    rows["attention rollout"] = rollout(layers)[:, 0]
    grid = net.patch_embed.grid_size
    return {name: row[:, net.num_prefix_tokens :].unflatten(1, grid) for name, row in rows.items()}
