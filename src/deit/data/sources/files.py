"""Images that lie on disk, one file each."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.data.sources.decoding import decode, read_file
from deit.data.sources.pictures import Picture, picture_of

READERS = 16  # threads that ask the file system
MISSING = -1  # in the place of the size of a file that is not there


class ImageFiles:
    """N files, decoded when asked for.

    Args:
        paths: N paths.
        labels: (N,) label of every file.
        upright: Whether they are turned as their EXIF orientation says (`Data.upright`).
        folders: (N,) length in bytes of the part of each path that is no name: the class folder, or the root of the
            dataset. One number: the same for all.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: NDArray[np.int64],
        *,
        upright: bool = False,
        folders: Sequence[int] | int = 0,
    ) -> None:
        assert len(paths) == len(labels), (len(paths), len(labels))
        self._folders = np.broadcast_to(np.asarray(folders, dtype=np.int32), (len(paths),))
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

    def names(self) -> list[bytes]:
        paths, folders = self._paths.tolist(), self._folders.tolist()
        return [path[folder:].lstrip(b"/") for path, folder in zip(paths, folders, strict=True)]

    def marks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        # In threads, because a network file system answers many questions at once.
        parts = np.array_split(self._paths[indices], READERS)
        with ThreadPoolExecutor(READERS) as pool:
            found = pool.map(lambda part: [_size(path) for path in part.tolist()], parts)
        return np.array([one for part in found for one in part], dtype=np.int64)


def _size(path: bytes) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - of bytes, a million of them
    except OSError:
        return MISSING
