"""Names and shapes of other code bases' transformers, translated to timm's.

Shapes: D width, p side of a patch in pixels.
"""

import math
import re
from collections.abc import Iterable

import torch

from deit.models.tensors import State

# Hugging Face's names: as its files have them, and as release 5 of its library has them in memory.
_HUGGING_FACE = (
    (r"^(?:deit|vit)\.", ""),  # the networks without a head are saved without it
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^(?:encoder\.layer|layers)\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.q_proj\.", ".attn.query."),
    (r"\.attention\.k_proj\.", ".attn.key."),
    (r"\.attention\.v_proj\.", ".attn.value."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"^(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^(?:cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)
# timm's before 0.5 and Hugging Face's without a class head: what no decision is made of.
_UNUSED = ("pre_logits.", "pooler.", "embeddings.mask_token", "decoder.")
# DeiT III's learnt factors of a residual branch; CaiT has the same names in timm too.
_LAYER_SCALE = ((r"^(blocks\.\d+)\.gamma_([12])$", r"\1.ls\2.gamma"),)


def to_timm(state: State) -> tuple[State, list[str]]:
    """``state`` under timm's names, and the names of what timm has no place for.

    Understands Hugging Face's DeiT and ViT, the official DeiT III, and timm before 0.4, whose patch projection was a
    matrix; what is timm's already comes back as it is.
    """
    if is_hugging_face(state):
        state = _with_joined_attention(_renamed(state, _HUGGING_FACE))
    if not any(name.startswith("blocks_token_only.") for name in state):
        state = _renamed(state, _LAYER_SCALE)
    projection = state.get("patch_embed.proj.weight")
    if projection is not None and projection.dim() == 2:  # (D, 3 * p * p)
        side = math.isqrt(projection.shape[1] // 3)
        state |= {"patch_embed.proj.weight": projection.reshape(-1, 3, side, side)}
    dropped = [name for name in state if name.startswith(_UNUSED)]
    return {name: tensor for name, tensor in state.items() if name not in dropped}, dropped


def is_hugging_face(state: Iterable[str]) -> bool:
    """Whether these are names of Hugging Face's transformers."""
    return any(name.endswith("embeddings.cls_token") for name in state)


def _renamed(state: State, rules: tuple[tuple[str, str], ...]) -> State:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def _with_joined_attention(state: State) -> State:
    """Query, key and value of a block as the one layer of 3 D rows that timm has."""
    joined: State = {}
    for name, tensor in state.items():
        if ".attn.query." in name:
            parts = [state.get(name.replace("query", part)) for part in ("query", "key", "value")]
            if all(part is not None for part in parts):
                joined[name.replace("query", "qkv")] = torch.cat([part for part in parts if part is not None])
        elif ".attn.key." not in name and ".attn.value." not in name:
            joined[name] = tensor
    return joined
