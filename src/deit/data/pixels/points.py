"""Changes of colour as Pillow's ImageOps, ImageEnhance and ImageFilter make them. All images (H, W, 3) uint8."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deit.data.pixels.warps import Pixels, kernels

LEVELS = np.arange(256)
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13  # Pillow's filter of that name


def autocontrast(pixels: Pixels) -> Pixels:
    """Each channel stretched to all levels."""
    present = histograms(pixels) > 0
    low, high = present.argmax(axis=1), 255 - present[:, ::-1].argmax(axis=1)
    scale = 255.0 / np.maximum(high - low, 1)
    stretched = _bytes(LEVELS[:, None] * scale - low * scale)
    return _through(pixels, np.where(high > low, stretched, LEVELS[:, None]))


def equalize(pixels: Pixels) -> Pixels:
    """Each channel's levels spread so that all occur about as often."""
    counts = histograms(pixels)
    last = 255 - (counts[:, ::-1] > 0).argmax(axis=1)
    step = (counts.sum(axis=1) - counts[np.arange(3), last]) // 255
    below = np.cumsum(counts, axis=1) - counts
    spread = np.minimum((step[:, None] // 2 + below) // np.maximum(step, 1)[:, None], 255)
    return _through(pixels, np.where(step > 0, spread.T, LEVELS[:, None]))


def invert(pixels: Pixels) -> Pixels:
    return 255 - pixels


def posterize(pixels: Pixels, bits: int) -> Pixels:
    """Only the ``bits`` highest bits of each level kept."""
    return pixels & np.uint8(256 - 2 ** (8 - bits)) if bits < 8 else pixels


def solarize(pixels: Pixels, threshold: float) -> Pixels:
    """Levels from ``threshold`` on inverted."""
    return _through(pixels, np.where(threshold > LEVELS, LEVELS, 255 - LEVELS))


def solarize_add(pixels: Pixels, added: int, threshold: int = 128) -> Pixels:
    """Levels below ``threshold`` raised by ``added``."""
    return _through(pixels, np.where(threshold > LEVELS, np.minimum(LEVELS + added, 255), LEVELS))


def brightness(pixels: Pixels, factor: float) -> Pixels:
    """Levels times ``factor``."""
    return _through(pixels, _bytes(np.float32(factor) * LEVELS.astype(np.float32)))


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Distances from the mean grey times ``factor``."""
    mean = int(cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[0] + 0.5)
    return _through(pixels, _bytes(mean + np.float32(factor) * (LEVELS - mean).astype(np.float32)))


def colour(pixels: Pixels, factor: float) -> Pixels:
    """Distances of the channels from their grey times ``factor``."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return _blend(pixels, np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8), factor)


def sharpness(pixels: Pixels, factor: float) -> Pixels:
    """Distances from the smoothed image times ``factor``; the outermost pixels stay."""
    smooth = np.asarray(cv2.filter2D(pixels, -1, SMOOTH), dtype=np.uint8)
    smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1] = pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]
    return _blend(pixels, smooth, factor)


def blur(pixels: Pixels, radius: float) -> Pixels:
    """Pillow's own Gaussian blur, which is as fast as any loop of ours would be."""
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def histograms(pixels: Pixels) -> NDArray[np.int64]:
    """(3, 256): how often each level occurs in each channel."""
    if kernels is None:
        return np.stack([np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)])
    return kernels.histograms(pixels)


def _blend(pixels: Pixels, others: Pixels, factor: float) -> Pixels:
    if kernels is None:  # rounds where Pillow truncates
        return np.asarray(cv2.addWeighted(pixels, factor, others, 1 - factor, -0.5), dtype=np.uint8)
    return kernels.blended(pixels, others, float(factor))


def _through(pixels: Pixels, table: NDArray) -> Pixels:
    """Each level replaced by its place in ``table``, (256,) or (256, 3)."""
    return np.asarray(cv2.LUT(pixels, table.astype(np.uint8).reshape(1, 256, -1)), dtype=np.uint8)


def _bytes(levels: NDArray) -> NDArray[np.uint8]:
    return np.clip(levels, 0, 255).astype(np.uint8)
