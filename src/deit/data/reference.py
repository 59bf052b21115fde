"""Views as timm and torchvision make them, on images of Pillow's: what the fast ones are compared with."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torchvision.transforms import v2

from deit.config.material import Augment, Crop
from deit.data.policies import policy
from deit.data.sources import ImageSource

__all__ = ["crop", "evaluation", "jitter", "mirrored", "of_pixels", "opened", "policy", "to_tensor"]

SIMPLE_PADDING = 4  # pixels, mirrored: DeiT III's Simple Random Crop


def opened(source: ImageSource, index: int) -> Image.Image:
    """The image as the steps below take it."""
    return source.image(index)


def of_pixels(pixels: NDArray[np.uint8]) -> Image.Image:
    """The same of (H, W, 3) RGB pixels."""
    return Image.fromarray(pixels)


def crop(augment: Augment, size: int) -> v2.Compose | RandomResizedCropAndInterpolation:
    """What makes a square of ``size`` pixels of a training image."""
    if augment.crop is Crop.resized:
        return RandomResizedCropAndInterpolation(
            size, scale=(augment.crop_scale[0], augment.crop_scale[1]), interpolation="bicubic"
        )
    resize = [v2.Resize(size, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)]
    if augment.crop is Crop.padded:
        # 4 pixels at 32, as the official code has it; a photograph keeps its sides for the crop to choose from
        return v2.Compose([resize[0], v2.RandomCrop(size, padding=size // 8)])
    if augment.crop is Crop.simple:
        return v2.Compose([resize[0], v2.RandomCrop(size, padding=SIMPLE_PADDING, padding_mode="reflect")])
    return v2.Compose(resize)


def mirrored(image: Image.Image) -> Image.Image:
    """Left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def jitter(strength: float) -> Callable[[Image.Image], Image.Image]:
    """Random changes of brightness, contrast and saturation, in random order."""
    return v2.ColorJitter(strength, strength, strength)


def evaluation(size: int, resized: int) -> v2.Compose:
    """The short side to ``resized`` pixels, then the central ``size``."""
    return v2.Compose([v2.Resize(resized, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)])


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as (3, H, W) uint8, its pixels side by side in memory."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
