"""Two sources as one: a set's own val split that is trained on too."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.data.sources.base import ImageSource
from deit.data.sources.pictures import Picture


class JoinedImages:
    """The images of ``first``, then those of ``second``."""

    def __init__(self, first: ImageSource, second: ImageSource) -> None:
        self.parts = (first, second)
        self.labels = np.concatenate([first.labels, second.labels])

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        """The image at ``index``; raises ImageError if it cannot be decoded."""
        part, position = self.locate(index)
        return part.image(position)

    def picture(self, index: int) -> Picture:
        """The same, decoded as far as it is asked for."""
        part, position = self.locate(index)
        return part.picture(position)

    def describe(self, index: int) -> str:
        part, position = self.locate(index)
        return part.describe(position)

    def names(self) -> list[bytes] | None:
        first, second = (part.names() for part in self.parts)
        return None if first is None or second is None else first + second

    def marks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        found, in_first = np.empty(len(indices), dtype=np.int64), indices < len(self.parts[0])
        found[in_first] = self.parts[0].marks(indices[in_first])
        found[~in_first] = self.parts[1].marks(indices[~in_first] - len(self.parts[0]))
        return found

    def locate(self, index: int) -> tuple[ImageSource, int]:
        """Return the source that has the image at ``index``, and its position there."""
        first, second = self.parts
        return (first, index) if index < len(first) else (second, index - len(first))
