"""Images that are decoded as far as they are asked for. Shapes: H, W sides in pixels."""

from io import BytesIO
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.data.sources import jpeg
from deit.data.sources.decoding import decode
from deit.data.sources.orientation import AS_STORED, ON_ITS_SIDE, orientation_of, turned


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


class TurnedPicture:
    """A picture upright that is stored in another orientation. It is decoded whole: a row may need every stored row."""

    def __init__(self, stored: Picture, orientation: int) -> None:
        self.stored, self.orientation = stored, orientation
        sides = (stored.height, stored.width)
        self.height, self.width = sides[::-1] if orientation >= ON_ITS_SIDE else sides

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        return turned(self.stored.rows(0, self.stored.height), self.orientation)[top:bottom]


def picture_of(content: bytes, name: str, *, upright: bool = False) -> Picture:
    """The picture in an image file's bytes; upright: turned as its EXIF orientation says.

    Whatever is no plain JPEG is decoded by Pillow here and now: see `decode`, whose errors are raised.
    """
    header = jpeg.read_header(content)
    if header is None:
        return picture_of_image(decode(content, name, upright=upright))
    picture = JpegPicture(content, header, name)
    stored_in = orientation_of(BytesIO(content)) if upright and header.described else AS_STORED
    return picture if stored_in == AS_STORED else TurnedPicture(picture, stored_in)


def picture_of_image(image: Image.Image) -> ArrayPicture:
    """The picture of a decoded RGB image."""
    return ArrayPicture(np.array(image))  # a copy, for Pillow's own memory is read-only
