"""Images read from a pack: see `deit.data.packing`. H, W sides in pixels."""

import logging
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from deit.config.errors import ConfigError, RunError
from deit.data.checksums import ABSENT, CHECKSUM, block_checksum
from deit.data.containment import refuse_links_out
from deit.data.pixels.resize import resized
from deit.data.probing import probes
from deit.data.sources import ImageError, ImageSource
from deit.data.sources.pictures import ArrayPicture
from deit.data.unreadable import listed

log = logging.getLogger(__name__)

PIXELS, SIZES = "pixels.u8", "sizes.i32"
CHECKSUMS, SOURCES = "checksums.u32", "sources.u32"
NOT_READ, INTACT, CORRUPT = range(3)  # what is known of an image's pixels
CHECKED = 16  # images compared with their files when a pack is opened
LARGEST_DIFFERENCE = 2.0  # grey levels, the mean over an image; other releases of a decoder stay below one


class PackedImages:
    """The images of ``source``, packed in ``folder`` with at most ``side`` pixels on their short side.

    The pixels of an image are compared with their checksum when a process first reads them, which shares what it finds
    with its data loader workers. A corrupt image is made again of its file, each time.
    """

    def __init__(self, source: ImageSource, folder: Path, side: int) -> None:
        self.source, self.labels, self.side = source, source.labels, side
        self.path = folder / PIXELS
        for name in (PIXELS, SIZES, CHECKSUMS, SOURCES):
            refuse_links_out(folder, folder / name)
        self.sizes, self.ends = read_sizes(folder, len(source), whole=True)
        self.checksums = _read_column(folder / CHECKSUMS, len(source))
        # One more, for the warning that is given once.
        self.states = torch.full((len(source) + 1,), NOT_READ, dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        return len(self.labels)

    def __getstate__(self) -> dict[str, object]:
        # A map that went to a loader process by pickling would be a copy of the whole file.
        return {name: value for name, value in vars(self).items() if name not in ("_map", "_seen")}

    @cached_property
    def _map(self) -> NDArray[np.uint8]:
        return np.memmap(self.path, np.uint8, "r")

    @cached_property
    def _seen(self) -> NDArray[np.uint8]:
        return self.states.numpy()  # the same memory, at a tenth of the cost

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3), not to be written to; raises ImageError for an image that was left out."""
        height, width = (int(side) for side in self.sizes[index])
        end = int(self.ends[index])
        if not height:
            raise ImageError(
                f"{self.source.describe(index)}: could not be read when it was packed into {self.path.parent}"
            )
        begin = end - 3 * height * width
        content = self._map[begin:end]
        if self._seen[index] == NOT_READ:
            found = block_checksum(content, index, height, width, at=begin)
            self._seen[index] = INTACT if self.checksums[index] in (ABSENT, found) else CORRUPT
        return content.reshape(height, width, 3) if self._seen[index] == INTACT else self._made_again(index)

    def _made_again(self, index: int) -> NDArray[np.uint8]:
        """Return what should be packed in the place of corrupt pixels; raises ImageError if the file is not there."""
        name = self.source.describe(index)
        try:
            made = shrunk(self.source, index, self.side)
        except ImageError as error:
            raise ImageError(
                f"{name}: its pixels in {self.path} are damaged, and {error}; copy that pack again, or delete its"
                " folder, and the images are packed again"
            ) from error
        if self._seen[-1] == NOT_READ:
            self._seen[-1] = CORRUPT
            log.warning(
                f"{self.path} is damaged: the pixels of {name} are not what was packed; this image, and others like it,"
                f" are made again of their files each time; delete {self.path.parent}, and the images are packed again"
            )
        return made

    def picture(self, index: int) -> ArrayPicture:
        return ArrayPicture(self.pixels(index))

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels(index))

    def describe(self, index: int) -> str:
        return f"{self.source.describe(index)} (packed)"

    def names(self) -> list[bytes] | None:
        return self.source.names()

    def marks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.source.marks(indices)

    def refuse_holes(self) -> None:
        """Raise RunError if images are missing, naming them."""
        holes = np.flatnonzero(self.sizes[:, 0] == 0)
        if len(holes):
            raise RunError(
                f"{self.path.parent} was packed with data.on_error=skip, without {len(holes)} images that could not be"
                f" read:\n{listed([self.source.describe(int(index)) for index in holes])}\nmend them and delete that"
                " folder, and they are packed again; or pass data.on_error=skip"
            )

    def check(self) -> None:
        """Compare the files that are there with those that were packed; the pixels of a few, too.

        Raises:
            ConfigError: naming those that differ.
        """
        kept = _read_column(self.path.with_name(SOURCES), len(self))
        if not (self.checksums.any() and kept.any()):
            log.warning(
                f"{self.path.parent} was packed without checksums, or lost them: damage to it, or other files under the"
                " same names, may not be noticed; delete that folder, and the images are packed again"
            )
        known = np.flatnonzero(kept)
        now = probes(self.source, known)
        others = known[(now != kept[known]) & (now != ABSENT)]
        for index in np.linspace(0, len(self) - 1, CHECKED).astype(int).tolist():
            if not len(others) and self._differs(index):
                others = np.array([index])
        if len(others):
            more = f"together with {len(others) - 1:,} more, " if len(others) > 1 else ""
            raise ConfigError(
                f"{self.path.parent} is not of the images there are now: {more}{self.source.describe(int(others[0]))}"
                " differs; delete that folder, and they are packed again"
            )

    def _differs(self, index: int) -> bool:
        """Return True if packed pixels are not those of the image's file, as far as both are there."""
        try:
            kept, made = self.pixels(index), shrunk(self.source, index, self.side)
        except ImageError:
            return False
        return made.shape != kept.shape or bool(np.abs(made.astype(np.int16) - kept).mean() > LARGEST_DIFFERENCE)


def _read_column(file: Path, number: int) -> NDArray[np.uint32]:
    """Return the (number,) checksums in ``file``; ABSENT for all if it is missing or of another length."""
    if not file.is_file() or file.stat().st_size != number * CHECKSUM.itemsize:
        return np.full(number, ABSENT, CHECKSUM)
    return np.fromfile(file, CHECKSUM)


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
