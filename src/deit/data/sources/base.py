"""What every reader gives back: images by position, labels, and the three splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.config.errors import ConfigError
from deit.data.sources.decoding import ImageError
from deit.data.sources.pictures import Picture

__all__ = ["DataSet", "ImageError", "ImageSource", "Parts", "Split", "missing_files"]


class ImageSource(Protocol):
    """Labelled images by position; nothing is decoded before it is asked for. N images."""

    labels: NDArray[np.int64]
    """(N,) label of every image."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """The image at ``index`` in [0, N) as Pillow decodes it, of mode RGB.

        Raises:
            ImageError: It cannot be decoded.
        """
        ...

    def picture(self, index: int) -> Picture:
        """The same, decoded as far as it is asked for; raises as `image` does, sooner or later."""
        ...

    def describe(self, index: int) -> str:
        """What to call the image in a message: its path, or ``digits[17]``."""
        ...

    def names(self) -> list[bytes] | None:
        """Return the name of every image within its class, wherever the dataset lies; None if images have no names."""
        ...

    def marks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a cheap number per image that changes with its content: the size in bytes, or a CRC-32 of pixels."""
        ...


@dataclass(frozen=True)
class Split:
    """Some of a source's images."""

    source: ImageSource
    indices: NDArray[np.int64]
    """(n,) positions in the source, ascending."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) labels in the order of ``indices``."""
        return self.source.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class DataSet:
    """The three splits of a set and the names of its classes."""

    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    """Names in the order of the labels."""
    test_split: str
    """``test`` where it is a split of its own, ``val`` where the set has a single held-out split."""


@dataclass(frozen=True)
class Parts:
    """A set as it comes from its reader, before we split anything off."""

    classes: tuple[str, ...]
    train: ImageSource
    val: ImageSource | None = None
    test: ImageSource | None = None


def missing_files(what: str, looked_in: Sequence[Path], ways_out: Sequence[str]) -> ConfigError:
    """The error for files that are nowhere: what is missing, where it was looked for, what to type."""
    places = ", ".join(dict.fromkeys(str(path) for path in looked_in))
    return ConfigError(f"{what}; looked in {places}; {', or '.join(ways_out)}")
