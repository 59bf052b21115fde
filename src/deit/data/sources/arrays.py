"""Images that lie in memory as one array."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.data.sources.pictures import ArrayPicture


@dataclass(eq=False)
class ArrayImages:
    """N images of one size."""

    name: str
    pixels: NDArray[np.uint8]
    """(N, H, W) grey or (N, H, W, 3) RGB."""
    labels: NDArray[np.int64]
    """(N,)"""

    def __post_init__(self) -> None:
        assert len(self.pixels) == len(self.labels), (self.pixels.shape, self.labels.shape)

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        """The image at ``index``, H x W, RGB."""
        return Image.fromarray(self.pixels[index]).convert("RGB")

    def picture(self, index: int) -> ArrayPicture:
        return ArrayPicture(self.pixels[index])

    def describe(self, index: int) -> str:
        return f"{self.name}[{index}]"

    def names(self) -> None:
        return None

    def marks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([zlib.crc32(self.pixels[index].tobytes()) for index in indices], dtype=np.int64)
