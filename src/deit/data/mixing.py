"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019), with strengths drawn from keys.

Shapes: B batch, P = B / 2 pairs, K classes, H, W sides in pixels.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deit.config.material import Augment, MixMode
from deit.data.keys import Stream, frozen_generator
from deit.data.views import NOWHERE, Box


class Mix(NamedTuple):
    """How two images are mixed."""

    strength: float
    """Share of the image itself, in [0, 1]; the rest is its partner's."""
    box: Box
    """What CutMix takes from the partner; NOWHERE for Mixup."""


def draw(generator: np.random.RandomState, augment: Augment, height: int, width: int) -> Mix:
    """Draw how to mix: mixed at all, by which of the two, with what strength, and where.

    As timm draws it for the official recipe: ``strength ~ Beta(a, a)``, CutMix's corrected to the
    area that its box really covers.
    """
    mixed, switch = generator.uniform(), generator.uniform()  # always both: a draw has one meaning for ever
    if mixed >= augment.mix_probability:
        return Mix(1.0, NOWHERE)
    use_cutmix = augment.cutmix > 0 and (augment.mixup == 0 or switch < augment.switch_probability)
    alpha = augment.cutmix if use_cutmix else augment.mixup
    strength = float(generator.beta(alpha, alpha))
    if not use_cutmix:
        return Mix(strength, NOWHERE)
    cut = np.sqrt(1 - strength)
    cut_height, cut_width = int(height * cut), int(width * cut)
    centre_y, centre_x = int(generator.randint(height)), int(generator.randint(width))
    top, bottom = np.clip((centre_y - cut_height // 2, centre_y + cut_height // 2), 0, height)
    left, right = np.clip((centre_x - cut_width // 2, centre_x + cut_width // 2), 0, width)
    box = Box(int(top), int(left), int(bottom - top), int(right - left))
    return Mix(1 - box.height * box.width / (height * width), box)


def smooth_targets(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """One-hot targets with ``smoothing`` spread evenly over all classes: (B,) int -> (B, K) float32."""
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def mix_batch(
    images: Tensor, labels: Tensor, views: Tensor, indices: Tensor, *, augment: Augment, seed: int, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Mix a batch in place and make its soft targets.

    Args:
        images: (B, 3, H, W) float.
        labels: (B,) int64.
        views, indices: (B,) int64 keys, on the CPU.
        seed: Seed of the run.

    Returns:
        The images and (B, K) float32 targets, smoothed and mixed like the images.
    """
    targets = smooth_targets(labels, num_classes, augment.smoothing)
    if not augment.mixes or len(images) < 2:
        return images, targets
    keys = list(zip(views.tolist(), indices.tolist(), strict=True))
    height, width = images.shape[-2:]
    if augment.mix_mode is MixMode.batch:
        generator = frozen_generator(seed, Stream.MIX, *keys[0])
        mixes = [draw(generator, augment, height, width)] * len(keys)
        partner = torch.arange(len(keys) - 1, -1, -1)
    else:
        pairs = zip(keys[0::2], keys[1::2], strict=True)
        drawn = [draw(frozen_generator(seed, Stream.MIX, *a, *b), augment, height, width) for a, b in pairs]
        mixes = [mix for mix in drawn for _ in range(2)]
        partner = torch.arange(len(keys)) ^ 1
    return _apply(images, targets, mixes, partner)


def _apply(images: Tensor, targets: Tensor, mixes: list[Mix], partner: Tensor) -> tuple[Tensor, Tensor]:
    partner = partner.to(images.device)
    others = images[partner]
    share = torch.tensor([mix.strength for mix in mixes], dtype=torch.float32, device=images.device)
    blend = torch.tensor([mix.box == NOWHERE for mix in mixes], device=images.device)
    weight = torch.where(blend, share, 1.0).view(-1, 1, 1, 1)
    images.mul_(weight).add_(others * (1 - weight))
    for i, (_, (top, left, height, width)) in enumerate(mixes):
        if height and width:
            area = (i, slice(None), slice(top, top + height), slice(left, left + width))
            images[area] = others[area]
    share = share[:, None]
    return images, targets * share + targets[partner] * (1 - share)
