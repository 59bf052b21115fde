"""Images that are decoded as far as they are asked for. Shapes: H, W sides in pixels."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.data.sources import jpeg
from deit.data.sources.decoding import decode


class Picture(Protocol):
    """An image whose size is known and whose pixels can be had."""

    height: int
    width: int

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """RGB pixels of the rows from ``top`` to before ``bottom``: (bottom - top, W, 3).

        Raises:
            ImageError: It cannot be decoded.
        """
        ...


class ArrayPicture:
    """Pixels that lie in memory: (H, W) grey or (H, W, 3) RGB."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.height, self.width = pixels.shape[:2]
        self.pixels = pixels

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        cut = self.pixels[top:bottom]
        return cut if cut.ndim == 3 else np.repeat(cut[..., None], 3, axis=-1)


class JpegPicture:
    """The content of a JPEG file; ``name`` is what to call it in a message."""

    def __init__(self, content: bytes, header: jpeg.Header, name: str) -> None:
        self.height, self.width = header.height, header.width
        self.content, self.header, self.name = content, header, name

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        try:
            pixels = jpeg.decode_rows(self.content, self.header, bottom)
        except ValueError:  # a form that libjpeg-turbo's simple interface does not know, or damage: Pillow has the say
            pixels = np.asarray(decode(self.content, self.name))
        return pixels[top:bottom]


def picture_of(content: bytes, name: str) -> Picture:
    """The picture in an image file's bytes.

    Whatever is no plain JPEG is decoded by Pillow here and now: see `decode`, whose errors are raised.
    """
    header = jpeg.read_header(content)
    if header is not None:
        return JpegPicture(content, header, name)
    return picture_of_image(decode(content, name))


def picture_of_image(image: Image.Image) -> ArrayPicture:
    """The picture of a decoded RGB image."""
    return ArrayPicture(np.array(image))  # a copy, for Pillow's own memory is read-only
