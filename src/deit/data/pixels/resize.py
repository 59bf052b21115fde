"""Resizing and mirroring. Shapes: H, W sides in pixels; all images (H, W, 3) uint8."""

import warnings

import cv2
import numpy as np
import PIL
import torch
from torch.nn import functional as F

from deit.data.pixels.warps import Pixels

# Packed images are mapped from a file that must not be written to; PyTorch warns of what it could do to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

# Which pass comes first shows where the first one clips: along rows, as ever, or since this release of Pillow along
# columns where the height shrinks by more than twice as many pixels as the width does.
COLUMNS_MAY_BE_FIRST = int(PIL.__version__.partition(".")[0]) >= 13


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Bicubic with antialiasing, as Pillow resizes: within one grey level."""
    rows, columns = pixels.shape[:2]
    if COLUMNS_MAY_BE_FIRST and rows > height and rows - height > 2 * (columns - width):
        pixels = _interpolated(pixels, height, columns)
    return _interpolated(pixels, height, width)


def _interpolated(pixels: Pixels, height: int, width: int) -> Pixels:
    """Along rows, then along columns.

    The tensor is made by its strides: an axis of one that is only put in front has a stride by which PyTorch takes the
    pixels for planes, and copies them back and forth.
    """
    rows, columns = pixels.shape[:2]
    step = pixels.strides[0]
    tensor = torch.from_numpy(pixels).as_strided((1, 3, rows, columns), (rows * step, 1, step, 3))
    made = F.interpolate(tensor, (height, width), mode="bicubic", antialias=True)
    return np.ascontiguousarray(made[0].permute(1, 2, 0).numpy())


def mirrored(pixels: Pixels) -> Pixels:
    """Left and right exchanged."""
    return np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)
