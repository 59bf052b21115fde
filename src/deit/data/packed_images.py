"""Images read from a pack: see `deit.data.packing`. H, W sides in pixels."""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.config.errors import ConfigError, RunError
from deit.data.containment import refuse_links_out
from deit.data.pixels.resize import resized
from deit.data.sources import ImageError, ImageSource
from deit.data.sources.pictures import ArrayPicture
from deit.data.unreadable import listed

PIXELS, SIZES = "pixels.u8", "sizes.i32"
CHECKED = 16  # images compared with their files when a pack is opened
LARGEST_DIFFERENCE = 2.0  # grey levels, the mean over an image; other releases of a decoder stay below one


class PackedImages:
    """The images of ``source``, packed in ``folder``."""

    def __init__(self, source: ImageSource, folder: Path) -> None:
        self.source, self.labels = source, source.labels
        self.path = folder / PIXELS
        for name in (PIXELS, SIZES):
            refuse_links_out(folder, folder / name)
        self.sizes, self.ends = read_sizes(folder, len(source), whole=True)

    def __len__(self) -> int:
        return len(self.labels)

    def __getstate__(self) -> dict[str, object]:
        # A map that went to a loader process by pickling would be a copy of the whole file.
        return {name: value for name, value in vars(self).items() if name != "_map"}

    @cached_property
    def _map(self) -> NDArray[np.uint8]:
        return np.memmap(self.path, np.uint8, "r")

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3), not to be written to; raises ImageError for an image that was left out."""
        height, width = (int(side) for side in self.sizes[index])
        end = int(self.ends[index])
        if not height:
            raise ImageError(
                f"{self.source.describe(index)}: could not be read when it was packed into {self.path.parent}"
            )
        return self._map[end - 3 * height * width : end].reshape(height, width, 3)

    def picture(self, index: int) -> ArrayPicture:
        return ArrayPicture(self.pixels(index))

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels(index))

    def describe(self, index: int) -> str:
        return f"{self.source.describe(index)} (packed)"

    def refuse_holes(self) -> None:
        """Raise RunError if images are missing, naming them."""
        holes = np.flatnonzero(self.sizes[:, 0] == 0)
        if len(holes):
            raise RunError(
                f"{self.path.parent} was packed with data.on_error=skip, without {len(holes)} images that could not be"
                f" read:\n{listed([self.source.describe(int(index)) for index in holes])}\nmend them and delete that"
                " folder, and they are packed again; or pass data.on_error=skip"
            )

    def check(self, side: int) -> None:
        """Compare a few images with those that they were made of, as far as both are there.

        Raises:
            ConfigError: naming one that differs.
        """
        for index in np.linspace(0, len(self) - 1, CHECKED).astype(int).tolist():
            try:
                kept, made = self.pixels(index), shrunk(self.source, index, side)
            except ImageError:
                continue
            if made.shape != kept.shape or np.abs(made.astype(np.int16) - kept).mean() > LARGEST_DIFFERENCE:
                raise ConfigError(
                    f"{self.path.parent} is not of the images there are now: {self.source.describe(index)} differs;"
                    " delete that folder, and they are packed again"
                )


def read_sizes(folder: Path, number: int, *, whole: bool) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(number, 2) height and width of the first images, and (number,) where the bytes of each end.

    whole: whether these are all; else an interrupted process may have left more bytes.

    Raises:
        ConfigError: if the files are not of each other.
    """
    sizes = np.fromfile(folder / SIZES, np.int32, 2 * number).reshape(-1, 2)
    ends = np.cumsum(sizes.astype(np.int64).prod(axis=1) * 3)
    found = (folder / PIXELS).stat().st_size if (folder / PIXELS).is_file() else 0
    left = found - int(ends[-1])
    is_sensible = sizes.min() >= 0 and sizes.max() < 2**20  # pixels; products of more could overflow
    if not is_sensible or left < 0 or (whole and left > 0):
        raise ConfigError(
            f"{folder} is damaged: {PIXELS} has {found:,} bytes, and the images in {SIZES} have others; copy it again,"
            " or delete it, and they are packed again"
        )
    return sizes, ends


def shrunk(source: ImageSource, index: int, side: int) -> NDArray[np.uint8]:
    """An image whose short side has at most ``side`` pixels: (H, W, 3)."""
    picture = source.picture(index)
    pixels = picture.rows(0, picture.height)
    short = min(picture.height, picture.width)
    if short <= side:
        return pixels
    return resized(pixels, side * picture.height // short, side * picture.width // short)
