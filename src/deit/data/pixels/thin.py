"""Pictures a few pixels high and thousands wide, or the other way round: resized whole, one would fill the memory.

Shapes: H, W sides in pixels.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from deit.data.pixels.warps import Pixels

MOST_RESIZED = 2**24
"""Pixels up to which a picture is resized whole and cropped then: 256 on the short side and 65,536 on the other."""
SUPPORT = 2  # source pixels on either side that a cubic reads, times the factor of shrinking


def resized_sides(height: int, width: int, short: int) -> tuple[int, int]:
    """Return the sides after the shorter one was resized to ``short``, as torchvision rounds."""
    return short * height // min(height, width), short * width // min(height, width)


def is_thin(height: int, width: int, short: int) -> bool:
    """Return True if a picture resized whole has too many pixels."""
    return math.prod(resized_sides(height, width, short)) > MOST_RESIZED


class Window(NamedTuple):
    """What the central square shows of a picture, in source pixels."""

    left: int
    top: int
    right: int
    bottom: int
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the square, counted from the window's corner; a cubic reads what is around it."""


def central_window(height: int, width: int, size: int, short: int) -> Window:
    """Return the part of a picture that the central ``size`` pixels show once its short side has ``short``."""
    rows, columns = resized_sides(height, width, short)
    first_row, first_column = (round((side - size) / 2) for side in (rows, columns))
    x, y = width / columns, height / rows
    left, top, right, bottom = first_column * x, first_row * y, (first_column + size) * x, (first_row + size) * y
    margin = math.ceil(SUPPORT * max(1.0, x, y)) + 1
    begin_x, begin_y = max(0, int(left) - margin), max(0, int(top) - margin)
    box = (left - begin_x, top - begin_y, right - begin_x, bottom - begin_y)
    return Window(begin_x, begin_y, min(width, math.ceil(right) + margin), min(height, math.ceil(bottom) + margin), box)


def central_part(image: Image.Image, size: int, short: int) -> Image.Image:
    """Return the central square of ``size`` pixels of an image whose short side is resized to ``short``.

    The part that the square shows is resized, no more: the pixels are those of the whole.
    """
    window = central_window(image.height, image.width, size, short)
    return image.crop(window[:4]).resize((size, size), Image.Resampling.BICUBIC, box=window.box)


def central_pixels(pixels: Pixels, size: int, short: int) -> Pixels:
    """Return the same of (H, W, 3) pixels."""
    window = central_window(pixels.shape[0], pixels.shape[1], size, short)
    part = np.ascontiguousarray(pixels[window.top : window.bottom, window.left : window.right])
    return np.array(Image.fromarray(part).resize((size, size), Image.Resampling.BICUBIC, box=window.box))


def central_range(height: int, width: int, short: int) -> tuple[int, int, int, int] | None:
    """Return top, left, height and width of the part of a thin picture that may be resized whole; None for others."""
    if not is_thin(height, width, short):
        return None
    most = MOST_RESIZED // short**2 * min(height, width)
    rows, columns = min(height, most), min(width, most)
    return (height - rows) // 2, (width - columns) // 2, rows, columns
