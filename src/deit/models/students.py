"""Students: data-efficient image transformers, with or without a distillation token (Figure 2), and what else
learns in their place.

Shapes: B batch, N patch tokens, D width, K classes.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

from deit.config.errors import ConfigError
from deit.config.network import Family, Model, Scale
from deit.models import networks
from deit.models.nano import build_nano, has_nano_form
from deit.models.precision import attention_in_float32
from deit.models.preprocess import Preprocess
from deit.models.stochastic_depth import counted_calls, key_drop_paths
from deit.models.vit import build_transformer

CAIT_CALLS = 2  # CaiT's blocks use one module of stochastic depth for attention and MLP


class Heads(NamedTuple):
    """A student's answer, head by head: fusing them is the caller's choice."""

    classes: Tensor
    """(B, K) logits of the class head."""
    distill: Tensor | None
    """(B, K) logits of the distillation head; None without the token."""


class Student(nn.Module):
    """A network in timm's layout behind its own preprocessing.

    ``net.state_dict()`` has the keys of timm's networks, for a DeiT those of the released checkpoints.

    Args:
        eval_mode: Never leave evaluation mode: train without dropout and stochastic depth.
    """

    def __init__(self, net: nn.Module, preprocess: Preprocess, *, eval_mode: bool = False) -> None:
        super().__init__()
        self.net = net
        self.preprocess = preprocess
        self.eval_mode = eval_mode

    @property
    def two_heads(self) -> bool:
        """Whether there is a distillation token, with a head of its own."""
        return isinstance(self.net, VisionTransformerDistilled)

    def train(self, mode: bool = True) -> "Student":
        """To training mode, or to evaluation mode: as `torch.nn.Module` has it, but for ``eval_mode``."""
        super().train(mode and not self.eval_mode)
        return self

    def forward(self, images: Tensor) -> Heads:
        """(B, 3, H, W) to the heads' logits.

        Apart in training and in evaluation: timm's own forward averages the logits as soon as it is in eval mode,
        which hides the heads that Table 3 compares.
        """
        images = self.preprocess(images)
        if not isinstance(self.net, VisionTransformerDistilled):
            return Heads(self.net(images), None)
        tokens = self.net.forward_features(images)  # (B, 2 + N, D)
        return Heads(self.net.head(tokens[:, 0]), self.net.head_dist(tokens[:, 1]))


def build_student(
    model: Model,
    scale: Scale,
    *,
    image_size: int,
    token: bool,
    num_classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    normalised: bool = False,
) -> Student:
    """A student with fresh weights for images of ``image_size`` pixels a side.

    mean, std: per-channel statistics of images in [0, 1]. normalised: whether images come normalised by them, as
    batches do, or in [0, 1]. Raises ConfigError for a network that timm does not know,
    or that lacks what ``model`` asks of it.
    """
    if model.family is Family.timm:
        net = _of_timm(model, scale, image_size, num_classes)
    else:
        net = build_transformer(model, scale, image_size=image_size, token=token, num_classes=num_classes)
        key_drop_paths(net, num_calls=CAIT_CALLS if model.family is Family.cait else 1)
    if model.checkpoint_blocks:
        _checkpoint_blocks(net, model)
    if model.float32_attention:
        attention_in_float32(net)
    given = (mean, std) if normalised else None
    return Student(net, Preprocess(mean, std, image_size, given=given), eval_mode=model.eval_mode)


def _of_timm(model: Model, scale: Scale, image_size: int, num_classes: int) -> nn.Module:
    assert model.net is not None, "the configuration's rules ask for the network's name"
    record = networks.card(model.net, "model.net")
    rates = {"drop_path_rate": model.drop_path, "drop_rate": model.dropout}
    rates = {name: rate for name, rate in rates.items() if rate > 0}
    build = networks.form(model.net, record, image_size)
    if scale.shrink > 1 and has_nano_form(model.net):
        build = partial(build_nano, model.net, scale, width=None, image_size=image_size)
    try:
        net = build(num_classes=num_classes, **rates)  # pyright: ignore[reportArgumentType] - of the two forms at once
    except TypeError as fault:
        raise ConfigError(
            f"{model.net} takes no {' and no '.join(rates)} ({fault}); pass model.drop_path=0 model.dropout=0"
        ) from None
    key_drop_paths(net)
    with counted_calls(net):
        _try_out(net, model, image_size)
    return net


def _try_out(net: nn.Module, model: Model, image_size: int) -> None:
    """Let ``net`` see an empty image: many networks shrink small ones to nothing on the way."""
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, AssertionError) as fault:
        raise ConfigError(
            f"{model.net} cannot see images of {image_size} pixels ({str(fault).splitlines()[0]}); pass a larger"
            " resolution.pixels=<side>, or another model.net"
        ) from None
    net.train()


def _checkpoint_blocks(net: nn.Module, model: Model) -> None:
    switch = getattr(net, "set_grad_checkpointing", None)
    try:
        assert switch is not None
        switch(True)
    except AssertionError:  # timm's own answer where a network has no such blocks
        raise ConfigError(
            f"model.checkpoint_blocks=true, but {model.net or model.name} has no blocks that can be computed twice;"
            " pass model.checkpoint_blocks=false, or trainer.accumulate=2 to need less memory"
        ) from None
