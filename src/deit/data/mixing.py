"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019), with strengths drawn from keys.

Shapes: B batch, P = B / 2 pairs, K classes, H, W sides in pixels.
"""

from collections.abc import Sequence
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
    top, bottom = max(centre_y - cut_height // 2, 0), min(centre_y + cut_height // 2, height)
    left, right = max(centre_x - cut_width // 2, 0), min(centre_x + cut_width // 2, width)
    box = Box(top, left, bottom - top, right - left)
    return Mix(1 - box.height * box.width / (height * width), box)


def smooth_targets(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """One-hot targets with ``smoothing`` spread evenly over all classes: (B,) int -> (B, K) float32."""
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def draw_batch(
    views: Tensor, indices: Tensor, *, augment: Augment, seed: int, height: int, width: int
) -> tuple[list[Mix], Tensor]:
    """How each image of a batch is mixed, and with which other.

    Two that are mixed are each other's partner and have the same mix: what one gives, it gets.

    Args:
        views, indices: (B,) int64 keys, on the CPU.
        seed: Seed of the run.

    Returns:
        B mixes and (B,) int64 partners; no mixes where nothing is mixed.
    """
    keys = list(zip(views.tolist(), indices.tolist(), strict=True))
    count = torch.arange(len(keys))
    if not augment.mixes or len(keys) < 2:
        return [], count
    if augment.mix_mode is MixMode.batch:
        generator = frozen_generator(seed, Stream.MIX, *keys[0])
        return [draw(generator, augment, height, width)] * len(keys), count.flip(0)
    pairs = zip(keys[0::2], keys[1::2], strict=True)
    drawn = [draw(frozen_generator(seed, Stream.MIX, *a, *b), augment, height, width) for a, b in pairs]
    return [mix for mix in drawn for _ in range(2)], count ^ 1


def mix_images(images: Tensor, mixes: Sequence[Mix], partner: Tensor) -> None:
    """Mix (B, 3, H, W) float images with their partners, in place and on their device, by masks: few calls, no waiting.

    Args:
        mixes, partner: As `draw_batch` gives them.
    """
    device, (height, width) = images.device, images.shape[-2:]
    boxes = torch.tensor([mix.box for mix in mixes]).to(device, non_blocking=True)
    top, left, high, wide = boxes.view(-1, 4, 1, 1).unbind(dim=1)
    share = torch.tensor([mix.strength for mix in mixes], dtype=torch.float32).to(device, non_blocking=True)
    y, x = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    outside = (y < top) | (y >= top + high) | (x < left) | (x >= left + wide)
    weight = torch.where((high > 0) & (wide > 0), outside.float(), share.view(-1, 1, 1))[:, None]
    others = images[partner.to(device)]
    images.mul_(weight).add_(others.mul_(1 - weight))


def mix_targets(targets: Tensor, mixes: Sequence[Mix], partner: Tensor) -> Tensor:
    """(B, K) targets mixed as the images are."""
    share = torch.tensor([mix.strength for mix in mixes], dtype=torch.float32)[:, None].to(targets.device)
    return targets * share + targets[partner.to(targets.device)] * (1 - share)
