"""One image becomes one view: crop, flip, policy, colours, and where to erase. Shapes: H, W sides in pixels."""

import math
import random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deit.config.material import Augment, Data, Decode
from deit.data import fast, reference
from deit.data.sources import ImageSource

KITS = {Decode.fast: fast, Decode.reference: reference}

# Area and aspect of an erased box, as shares of the image: Zhong et al. 2017 as timm draws them.
ERASE_AREA = (0.02, 1 / 3)
ERASE_ASPECT = (0.3, 1 / 0.3)
ERASE_ATTEMPTS = 10


class Box(NamedTuple):
    """A rectangle in pixels; all zero for none."""

    top: int
    left: int
    height: int
    width: int


NOWHERE = Box(0, 0, 0, 0)


class Place(NamedTuple):
    """A rectangle in shares of an image's sides."""

    top: float
    left: float
    height: float
    width: float


class TrainView:
    """Renders a training view. Draws from the global generators, which the caller seeds with the key.

    Args:
        augment: What to do.
        data: How images are decoded, and the colour that fills what a policy uncovers: the data's mean.
        image_size: Side of the view in pixels.

    Raises:
        ConfigError: for a policy that timm does not know.
    """

    def __init__(self, augment: Augment, data: Data, *, image_size: int) -> None:
        self.kit = KITS[data.decode]
        self.crop = self.kit.crop(augment, image_size)
        self.flip = augment.flip
        name, strength = augment.auto_augment, augment.color_jitter
        self.policy = None if name is None else self.kit.policy(name, mean=data.mean, image_size=image_size)
        self.jitter = self.kit.jitter(strength) if strength > 0 else None
        self.erasing = augment.erasing
        self.image_size = image_size

    def of(self, source: ImageSource, index: int) -> tuple[Tensor, Box]:
        """Render an image of ``source``: (3, H, W) uint8, and the box that is to be erased from it."""
        return self(self.kit.opened(source, index))

    def __call__(self, image: Any) -> tuple[Tensor, Box]:  # noqa: ANN401 - of the kit's own kind
        """Render an image as the kit opens it."""
        image = self.crop(image)
        if random.random() < self.flip:
            image = self.kit.mirrored(image)
        if self.policy is not None:
            image = self.policy(image)
        if self.jitter is not None:
            image = self.jitter(image)
        box = erase_box(self.image_size) if random.random() < self.erasing else NOWHERE
        return self.kit.to_tensor(image), box


class EvalView:
    """Renders the one view by which an image is evaluated: resize by ``1 / crop``, then centre crop."""

    def __init__(self, data: Data, *, image_size: int, crop: float) -> None:
        self.kit, self.image_size = KITS[data.decode], image_size
        self.resized = math.floor(image_size / crop)  # the official code: 224 / 0.875 = 256, 384 / 0.875 = 438
        self.transform = self.kit.evaluation(image_size, self.resized)

    def of(self, source: ImageSource, index: int) -> Tensor:
        """Render an image of ``source``: (3, H, W) uint8."""
        return self(self.kit.opened(source, index))

    def __call__(self, image: Any) -> Tensor:  # noqa: ANN401 - of the kit's own kind
        """Render an image as the kit opens it."""
        return self.kit.to_tensor(self.transform(image))

    def of_pixels(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Render (H, W, 3) RGB pixels: (3, H, W) uint8."""
        return self(self.kit.of_pixels(pixels))

    def place(self, height: int, width: int) -> Place:
        """Where in an image of these sides the view lies."""
        short = min(height, width)
        rows, columns = (self.resized * side // short for side in (height, width))  # as torchvision rounds
        top, left = (round((side - self.image_size) / 2) for side in (rows, columns))
        return Place(top / rows, left / columns, self.image_size / rows, self.image_size / columns)


def erase_box(size: int) -> Box:
    """Draw a box of random area and aspect inside a square of ``size`` pixels (Zhong et al., 2017, as timm does)."""
    for _ in range(ERASE_ATTEMPTS):
        area = random.uniform(*ERASE_AREA) * size * size
        aspect = math.exp(random.uniform(math.log(ERASE_ASPECT[0]), math.log(ERASE_ASPECT[1])))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height < size and width < size:
            return Box(random.randint(0, size - height), random.randint(0, size - width), height, width)
    return NOWHERE
