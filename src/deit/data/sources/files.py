"""Images that lie on disk, one file each."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.data.sources.decoding import decode, read_file
from deit.data.sources.pictures import Picture, picture_of


class ImageFiles:
    """N files, decoded when asked for.

    Args:
        paths: N paths.
        labels: (N,) label of every file.
        upright: Whether they are turned as their EXIF orientation says (`Data.upright`).
    """

    def __init__(self, paths: Sequence[str], labels: NDArray[np.int64], *, upright: bool = False) -> None:
        assert len(paths) == len(labels), (len(paths), len(labels))
        self.labels, self.upright = labels, upright
        # One block of bytes: a million str objects would be copied into every loader process bit by
        # bit, because reading one touches its reference count.
        self._paths = np.array([os.fsencode(path) for path in paths], dtype=np.bytes_)

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        """The file at ``index`` as RGB; raises ImageError with its path if it cannot be decoded."""
        path = self.describe(index)
        return decode(read_file(path, path), path, upright=self.upright)

    def picture(self, index: int) -> Picture:
        """The file at ``index``, decoded as far as it is asked for; raises ImageError as `image` does."""
        path = self.describe(index)
        return picture_of(read_file(path, path), path, upright=self.upright)

    def describe(self, index: int) -> str:
        return os.fsdecode(self._paths[index])
