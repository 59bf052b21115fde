"""Views as timm and torchvision make them, on images of Pillow's: what the fast ones are compared with."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor, nn
from torchvision.transforms import v2

from deit.config.material import Augment, Crop
from deit.data.pixels.thin import central_part, central_range, is_thin
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
    if augment.crop is Crop.center:
        return Evaluation(size, size)
    resize = [Trim(size), v2.Resize(size, interpolation=v2.InterpolationMode.BICUBIC)]
    if augment.crop is Crop.padded:
        # 4 pixels at 32, as the official code has it; a photograph keeps its sides for the crop to choose from
        return v2.Compose([*resize, v2.RandomCrop(size, padding=size // 8)])
    return v2.Compose([*resize, v2.RandomCrop(size, padding=SIMPLE_PADDING, padding_mode="reflect")])


class Trim(nn.Module):
    """The central part of a thin picture that may be resized whole to ``short`` pixels; any other as it is."""

    def __init__(self, short: int) -> None:
        super().__init__()
        self.short = short

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        height, width = (image.height, image.width) if isinstance(image, Image.Image) else image.shape[-2:]
        if (part := central_range(height, width, self.short)) is None:
            return image
        top, left, height, width = part
        if isinstance(image, Image.Image):
            return image.crop((left, top, left + width, top + height))
        return image[..., top : top + height, left : left + width]


def mirrored(image: Image.Image) -> Image.Image:
    """Left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def jitter(strength: float) -> Callable[[Image.Image], Image.Image]:
    """Random changes of brightness, contrast and saturation, in random order."""
    return v2.ColorJitter(strength, strength, strength)


class Evaluation(v2.Compose):
    """The short side to ``resized`` pixels, then the central ``size``; of a thin picture no more than that part."""

    def __init__(self, size: int, resized: int) -> None:
        super().__init__([v2.Resize(resized, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)])
        self.sides = size, resized

    def forward(self, *inputs: Image.Image) -> Image.Image:
        (image,) = inputs
        if isinstance(image, Image.Image) and is_thin(image.height, image.width, self.sides[1]):
            return central_part(image, *self.sides)
        return super().forward(image)


def evaluation(size: int, resized: int) -> Evaluation:
    """The transform of validation, test and prediction."""
    return Evaluation(size, resized)


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as (3, H, W) uint8, its pixels side by side in memory."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
