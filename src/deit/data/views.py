"""One image becomes one view: crop, flip, policy, colours, and where to erase. Shapes: H, W sides in pixels."""

import math
import random
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torchvision.transforms import v2

from deit.config.material import Augment, Crop, Data
from deit.data.policies import policy

# Area and aspect of an erased box, as shares of the image: Zhong et al. 2017 as timm draws them.
ERASE_AREA = (0.02, 1 / 3)
ERASE_ASPECT = (0.3, 1 / 0.3)
ERASE_ATTEMPTS = 10
SIMPLE_PADDING = 4  # pixels, mirrored: DeiT III's Simple Random Crop


class Box(NamedTuple):
    """A rectangle in pixels; all zero for none."""

    top: int
    left: int
    height: int
    width: int


NOWHERE = Box(0, 0, 0, 0)


class TrainView:
    """Renders a training view. Draws from the global generators, which the caller seeds with the key.

    Args:
        augment: What to do.
        data: For the colour that fills what a policy uncovers: the data's mean.
        image_size: Side of the view in pixels.

    Raises:
        ConfigError: for a policy that timm does not know.
    """

    def __init__(self, augment: Augment, data: Data, *, image_size: int) -> None:
        self.crop = _crop(augment, image_size)
        self.flip = augment.flip
        name, jitter = augment.auto_augment, augment.color_jitter
        self.policy = None if name is None else policy(name, mean=data.mean, image_size=image_size)
        self.jitter = v2.ColorJitter(jitter, jitter, jitter) if jitter > 0 else None
        self.erasing = augment.erasing
        self.image_size = image_size

    def __call__(self, image: Image.Image) -> tuple[Tensor, Box]:
        """Render an RGB image: (3, H, W) uint8, and the box that is to be erased from it."""
        image = cast(Image.Image, self.crop(image))
        if random.random() < self.flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.policy is not None:
            image = self.policy(image)
        if self.jitter is not None:
            image = self.jitter(image)
        box = erase_box(self.image_size) if random.random() < self.erasing else NOWHERE
        return to_uint8(image), box


class EvalView:
    """Renders the one view by which an image is evaluated: resize by ``1 / crop``, then centre crop."""

    def __init__(self, *, image_size: int, crop: float) -> None:
        resized = math.floor(image_size / crop)  # the official code: 224 / 0.875 = 256, 384 / 0.875 = 438
        self.transform = v2.Compose(
            [v2.Resize(resized, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(image_size)]
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """Render an RGB image: (3, H, W) uint8."""
        return to_uint8(self.transform(image))


def to_uint8(image: Image.Image) -> Tensor:
    """An RGB image as (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def erase_box(size: int) -> Box:
    """Draw a box of random area and aspect inside a square of ``size`` pixels (Zhong et al., 2017, as timm does)."""
    for _ in range(ERASE_ATTEMPTS):
        area = random.uniform(*ERASE_AREA) * size * size
        aspect = math.exp(random.uniform(math.log(ERASE_ASPECT[0]), math.log(ERASE_ASPECT[1])))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height < size and width < size:
            return Box(random.randint(0, size - height), random.randint(0, size - width), height, width)
    return NOWHERE


def _crop(augment: Augment, size: int) -> v2.Compose | RandomResizedCropAndInterpolation:
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
