"""Image formats that are opened, and the size of the largest image that is decoded."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFile

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats as Pillow calls them. It knows forty more, of which EPS calls a program."""
MOST_PIXELS = 2**27
"""Pixels of the largest image that is decoded: 11,585 x 11,585, half a gigabyte while it is."""


def open_image(file: BytesIO | str | Path) -> ImageFile.ImageFile:
    """Open an image file of one of `FORMATS` without decoding it; raises as Pillow does."""
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
