"""Augmentation policies by timm's names: RandAugment, AutoAugment, AugMix and DeiT III's 3-Augment."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from PIL import Image
from timm.data.auto_augment import (
    AugmentOp,
    AugMixAugment,
    augment_and_mix_transform,
    auto_augment_transform,
    rand_augment_transform,
)

from deit.config.errors import ConfigError
from deit.config.material import POLICIES
from deit.data.pixels.operations import OPERATIONS
from deit.data.pixels.warps import Pixels

Policy = Callable[[Image.Image], Image.Image]
ArrayPolicy = Callable[[Pixels], Pixels]

TRANSLATED = 0.45  # largest shift over the image's side, as timm has it
SETS = ("tweights", "t3a", "t3aw")  # what RandAugment may draw from instead of its own operations
EXAMPLES = "rand-m9-mstd0.5-inc1, original, v0-mstd0.5, augmix-m3-w3, 3a"


def policy(description: str, *, mean: Sequence[float], image_size: int) -> Policy:
    """The policy called ``description``, drawing from the global generators of Python and NumPy.

    ``3a`` is DeiT III's: grey, solarised at half brightness, or blurred by a radius of 0.1 to 2 pixels, one of the
    three for each image.

    Args:
        mean: Per-channel mean of images in [0, 1]: the colour that fills what moves in from outside.
        image_size: Side of the images in pixels, by which shifts are measured.

    Raises:
        ConfigError: if timm knows no such policy.
    """
    build = {"rand": rand_augment_transform, "augmix": augment_and_mix_transform}.get(
        description.split("-")[0], auto_augment_transform
    )
    settings = {
        "translate_const": int(image_size * TRANSLATED),
        "img_mean": tuple(min(255, round(255 * channel)) for channel in mean),
        "interpolation": Image.Resampling.BICUBIC,
    }
    try:
        _refuse_ignored(description)
        built = build(description, settings)
        keep_a_bit(built)
    except (AssertionError, ValueError, KeyError, AttributeError, IndexError):
        raise ConfigError(
            f"augment.auto_augment={description} is none of timm's policies; possible: {', '.join(POLICIES)}, with"
            f" settings as in {EXAMPLES}; pass augment.auto_augment=rand-m9-mstd0.5-inc1"
        ) from None
    return built


def array_policy(description: str, *, mean: Sequence[float], image_size: int) -> ArrayPolicy:
    """The same policy, drawing the same numbers, for (H, W, 3) uint8 arrays.

    Args and raises as `policy`.
    """
    built = policy(description, mean=mean, image_size=image_size)
    operations = _operations(built)
    if isinstance(built, AugMixAugment) or not all(op.name in OPERATIONS for op in operations):
        return _ThroughPillow(built)  # AugMix blends whole images of Pillow's
    for op in operations:
        op.aug_fn = OPERATIONS[op.name]
    return cast(ArrayPolicy, built)


class _ThroughPillow:
    """A policy for arrays from one for images."""

    def __init__(self, built: Policy) -> None:
        self.built = built

    def __call__(self, pixels: Pixels) -> Pixels:
        return np.array(self.built(Image.fromarray(pixels)))


def keep_a_bit(built: Policy) -> None:
    """Raise timm's policy ``built``, in place, to at least one bit of posterising: Pillow refuses none."""
    for op in _operations(built):
        if op.name.startswith("Posterize"):
            op.level_fn = _AtLeastOneBit(op.level_fn)


def _refuse_ignored(description: str) -> None:
    """Raise ValueError for settings that timm passes over, or stumbles over at the first image only."""
    name, *settings = description.split("-")
    for setting in settings:
        known = setting in SETS if name == "rand" and setting.startswith("t") else any(map(str.isdigit, setting))
        if not known or (name == "augmix" and setting[:1] == "a" and float(setting[1:]) <= 0):
            raise ValueError(setting)


def _operations(built: object) -> list[AugmentOp]:
    if hasattr(built, "policy"):  # AutoAugment: sub-policies of a few operations each
        return [op for sub_policy in built.policy for op in sub_policy]  # pyright: ignore[reportAttributeAccessIssue]
    return list(built.ops)  # pyright: ignore[reportAttributeAccessIssue]


class _AtLeastOneBit:
    """A level function of timm's with its result raised to 1.

    A class, so that workers can pickle it.
    """

    def __init__(self, level_fn) -> None:
        self.level_fn = level_fn

    def __call__(self, level: float, settings: dict[str, object]) -> tuple[int]:
        return (max(1, self.level_fn(level, settings)[0]),)
