"""How an image file becomes RGB, by Pillow."""

from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from deit.config.errors import RunError
from deit.data.sources.orientation import AS_STORED, orientation, turned

SHOWN = 8  # bytes of a file that is no image: what it begins with tells what it is


class ImageError(RunError):
    """An image that cannot be decoded; the message names its file or position."""


def read_file(path: str, name: str) -> bytes:
    """The content of an image file; raises ImageError under the ``name`` it is called by."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib's way takes five times as long
            return file.read()
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror})") from error


def decode(content: bytes, name: str, *, upright: bool = False) -> Image.Image:
    """Decode the content of an image file, whatever its suffix says; of an animation the first frame.

    Args:
        content: The file's bytes.
        name: What to call it in a message.
        upright: Whether it is turned as its EXIF orientation says (`Data.upright`).

    Returns:
        Image of mode RGB.

    Raises:
        ImageError: Empty, broken, truncated, no image, or of a kind whose values have no known range.
    """
    if not content:
        raise ImageError(f"{name}: cannot be decoded (the file is empty)")
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            stored_in = orientation(image) if upright else AS_STORED
            rgb = _rgb(image)
            return rgb if stored_in == AS_STORED else Image.fromarray(turned(np.asarray(rgb), stored_in))
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: cannot be decoded (no image begins with {content[:SHOWN]!r})") from error
    except Exception as error:  # on damaged bytes PIL's decoders raise nearly anything, SyntaxError included
        raise ImageError(f"{name}: cannot be decoded ({type(error).__name__}: {error})") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # PIL's own conversion clips at 255 and would leave a white image. It reads 16-bit PNG and PGM
        # as "I" or "I;16", depending on its release, with values up to 65535 = 257 * 255 in both.
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range; convert the file to 8 or 16 bits")
    if image.mode in ("P", "PA"):
        # Through RGBA: straight to RGB, PIL warns about transparency that is kept as bytes. Transparent
        # pixels keep the colour stored under them, as those of RGBA files do.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
