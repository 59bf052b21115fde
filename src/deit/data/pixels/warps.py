"""Shear, translation and rotation as Pillow does them: cubic (a = -1), truncated, with a hard edge against the fill.

By compiled loops, equal to Pillow's within one grey level. Where numba is missing, by OpenCV, whose cubic is a little
softer (a = -3/4, its phase in 32nds of a pixel, the fill blended in): 41 to 47 dB from Pillow's.

Shapes: H, W sides in pixels; all images (H, W, 3) uint8.
"""

import logging
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

try:
    from deit.data.pixels import kernels
except ImportError:  # it comes to a new Python some months late
    kernels = None
    logging.getLogger(__name__).warning(
        "numba is not installed: images are sheared and turned by OpenCV, a little softer than by Pillow;"
        " type pip install numba, or pass data.decode=reference"
    )

cv2.setNumThreads(1)  # of images this small its threads make nothing faster, and every loader process would have some

Pixels = NDArray[np.uint8]


def shear_x(pixels: Pixels, factor: float, fill: Sequence[int]) -> Pixels:
    """Row y moved left by ``factor * y``."""
    if kernels is None:
        return _by_opencv(pixels, (1, factor, 0, 0, 1, 0), fill)
    return kernels.shift_rows(pixels, float(factor), 0.0, _colour(fill))


def shear_y(pixels: Pixels, factor: float, fill: Sequence[int]) -> Pixels:
    """Column x moved up by ``factor * x``."""
    if kernels is None:
        return _by_opencv(pixels, (1, 0, 0, factor, 1, 0), fill)
    turned = kernels.shift_rows(np.asarray(cv2.transpose(pixels), dtype=np.uint8), float(factor), 0.0, _colour(fill))
    return np.asarray(cv2.transpose(turned), dtype=np.uint8)


def translate_x(pixels: Pixels, distance: float, fill: Sequence[int]) -> Pixels:
    """All moved left by ``distance`` pixels."""
    if kernels is None:
        return _by_opencv(pixels, (1, 0, distance, 0, 1, 0), fill)
    return kernels.shift_rows(pixels, 0.0, float(distance), _colour(fill))


def translate_y(pixels: Pixels, distance: float, fill: Sequence[int]) -> Pixels:
    """All moved up by ``distance`` pixels."""
    if kernels is None:
        return _by_opencv(pixels, (1, 0, 0, 0, 1, distance), fill)
    return kernels.shift_down(pixels, float(distance), _colour(fill))


def rotate(pixels: Pixels, degrees: float, fill: Sequence[int]) -> Pixels:
    """Turned counter-clockwise about the middle."""
    height, width = pixels.shape[:2]
    angle = -math.radians(degrees)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    matrix = (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y)
    if kernels is None:
        return _by_opencv(pixels, matrix, fill)
    return kernels.warp(kernels.padded(pixels), *map(float, matrix), _colour(fill))


def _colour(fill: Sequence[int]) -> Pixels:
    return np.array(fill, dtype=np.uint8)


def _by_opencv(pixels: Pixels, matrix: Sequence[float], fill: Sequence[int]) -> Pixels:
    """``matrix`` is Pillow's, from a target's corner to its source's; OpenCV counts from the middle of pixels."""
    a, b, c, d, e, f = matrix
    centred = np.array([[a, b, c + (a + b - 1) / 2], [d, e, f + (d + e - 1) / 2]])
    size = (pixels.shape[1], pixels.shape[0])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(pixels, centred, size, flags=flags, borderValue=tuple(map(int, fill))), dtype=np.uint8
    )
