"""Transformers of the DeiT family: DeiT, DeiT III and CaiT, with fresh weights as their papers start them.

Shapes: N patch tokens, D width.
"""

import torch
from timm.layers.drop import DropPath
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from deit.config.network import Family, Model, Scale

Transformer = VisionTransformer | Cait

INITIAL_STD = 0.02  # of every weight, token and position (DeiT section 6)


def build_transformer(model: Model, scale: Scale, *, image_size: int, token: bool, num_classes: int) -> Transformer:
    """The network of a student alone: it expects normalised images of ``image_size`` pixels a side.

    token: whether it has a distillation token and head besides; CaiT has no place for them.
    """
    assert image_size % scale.patch_size == 0, f"{image_size} pixels do not divide into patches of {scale.patch_size}"
    assert model.heads is not None, "the configuration's rules ask for the number of heads"
    shape = {
        "img_size": image_size,
        "patch_size": scale.patch_size,
        "num_classes": num_classes,
        "embed_dim": model.width_at(scale),
        "depth": model.blocks_at(scale),
        "num_heads": model.heads,
        "mlp_ratio": model.mlp_ratio,
        "drop_path_rate": model.drop_path,
        # DeiT's single dropout rate acted on tokens and after both projections, never on attention or the head.
        "pos_drop_rate": model.dropout,
        "proj_drop_rate": model.dropout,
    }
    if model.family is Family.cait:
        assert not token, "the configuration gives CaiT no distillation token"
        assert model.layer_scale is not None, "the configuration's rules ask for it"
        return Cait(**shape, init_values=model.layer_scale)
    network = VisionTransformerDistilled if token else VisionTransformer
    net = network(**shape, init_values=model.layer_scale, no_embed_class=model.family is Family.deit3)
    _start_tokens(net)
    if not model.drop_path_grows:
        _keep_drop_path(net, model.drop_path)
    return net


def _start_tokens(net: VisionTransformer) -> None:
    assert net.cls_token is not None
    assert net.pos_embed is not None
    if net.no_embed_class:
        # timm's distilled network makes room for its two tokens although none of them has a position.
        positions = torch.empty(1, net.patch_embed.num_patches, net.embed_dim)
        net.pos_embed = nn.Parameter(nn.init.trunc_normal_(positions, std=INITIAL_STD))
    # timm starts this token at a std of 1e-6 today; DeiT started it as it did every other weight. Position
    # embedding, distillation token and all linear layers, both heads included, already are at 0.02.
    nn.init.trunc_normal_(net.cls_token, std=INITIAL_STD)


def _keep_drop_path(net: VisionTransformer, rate: float) -> None:
    """The same rate in all blocks, where timm lets it grow from none in the first."""
    for block in net.blocks:
        assert isinstance(block, Block)
        block.drop_path1 = DropPath(rate) if rate > 0 else nn.Identity()
        block.drop_path2 = DropPath(rate) if rate > 0 else nn.Identity()
