"""Students: data-efficient image transformers, with or without a distillation token (Figure 2).

Shapes: B batch, N patch tokens, D width, K classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from deit.config.network import Model, Scale
from deit.models.preprocess import Preprocess


class Heads(NamedTuple):
    """A student's answer, head by head: fusing them is the caller's choice."""

    classes: Tensor
    """(B, K) logits of the class head."""
    distill: Tensor | None
    """(B, K) logits of the distillation head; None without the token."""


class Student(nn.Module):
    """A vision transformer in timm's layout behind its own preprocessing.

    ``net.state_dict()`` has the keys of timm's ``deit_*`` models, hence of the released checkpoints.
    """

    def __init__(self, net: VisionTransformer, preprocess: Preprocess) -> None:
        super().__init__()
        self.net = net
        self.preprocess = preprocess

    def forward(self, images: Tensor) -> Heads:
        """(B, 3, H, W) in [0, 1] to both heads' logits.

        Apart in training and in evaluation: timm's own forward averages the logits as soon as it is in eval mode,
        which hides the heads that Table 3 compares.
        """
        tokens = self.net.forward_features(self.preprocess(images))  # (B, 1 or 2 + N, D)
        classes = self.net.head(tokens[:, 0])
        distill = self.net.head_dist(tokens[:, 1]) if isinstance(self.net, VisionTransformerDistilled) else None
        return Heads(classes, distill)


def build_student(
    model: Model,
    scale: Scale,
    *,
    image_size: int,
    token: bool,
    num_classes: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Student:
    """A student with fresh weights for images of ``image_size`` pixels a side.

    mean, std: per-channel statistics of images in [0, 1].
    """
    net = build_transformer(model, scale, image_size=image_size, token=token, num_classes=num_classes)
    return Student(net, Preprocess(mean, std, image_size))


def build_transformer(
    model: Model, scale: Scale, *, image_size: int, token: bool, num_classes: int
) -> VisionTransformer:
    """The network of a student alone, initialised as in DeiT: it expects normalised images of ``image_size``."""
    assert image_size % scale.patch_size == 0, f"{image_size} pixels do not divide into patches of {scale.patch_size}"
    network = VisionTransformerDistilled if token else VisionTransformer
    net = network(
        img_size=image_size,
        patch_size=scale.patch_size,
        num_classes=num_classes,
        embed_dim=model.heads * scale.head_dim if model.embed_dim is None else model.embed_dim,
        depth=scale.depth,
        num_heads=model.heads,
        mlp_ratio=model.mlp_ratio,
        drop_path_rate=model.drop_path,  # timm lets it grow linearly from 0 to this over the blocks
        # DeiT's single dropout rate acted on tokens and after both projections, never on attention or the head.
        pos_drop_rate=model.dropout,
        proj_drop_rate=model.dropout,
    )
    # timm starts this token at a std of 1e-6 today; DeiT started it as it did every other weight. Position
    # embedding, distillation token and all linear layers, both heads included, already are at 0.02.
    assert net.cls_token is not None
    nn.init.trunc_normal_(net.cls_token, std=0.02)
    return net
