"""A map of attention laid over the photograph that the network saw a part of. Shapes: H, W sides; h x w patches."""

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deit.data.views import Place

AREA = 420 * 420  # pixels of a photo in a panel: four of them stand side by side on a wide screen
LONGEST = 800  # pixels: of a panorama
COLOURS = "inferno"
"""Perceptually uniform, and legible without colours: brighter is more."""
FULL = 99.5  # percentile that is full brightness: one patch that draws everything would leave the others black
FLAT = 1e-6  # attention that differs by less does not differ
UNSEEN = 0.35  # brightness of what lies outside the network's view


def reduced(photo: Image.Image) -> Image.Image:
    """``photo`` at the size at which it is shown, whatever its own."""
    scale = min((AREA / (photo.width * photo.height)) ** 0.5, LONGEST / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def in_photo(attention: Tensor, place: Place, height: int, width: int) -> NDArray[np.float32]:
    """The map on the photo's pixels: (H, W), smooth between the centres of patches; nan outside the view.

    From 0, where it looks least, to 1, where it looks most: what rollout gives to every patch alike says nothing.

    Args:
        attention: (h, w)
        place: Of the view in the photo.
        height, width: H, W.
    """
    top, left = round(place.top * height), round(place.left * width)
    bottom = max(top + 1, round((place.top + place.height) * height))
    right = max(left + 1, round((place.left + place.width) * width))
    patches = attention.float().numpy()
    smooth = cv2.resize(patches, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
    least, most = float(patches.min()), float(np.percentile(smooth, FULL))
    full = np.full((height, width), np.nan, np.float32)
    full[top:bottom, left:right] = np.clip((smooth - least) / max(most - least, FLAT), 0, 1)
    return full


def overlay(photo: Image.Image, attention: NDArray[np.float32]) -> Image.Image:
    """``photo`` in grey below the colours of (H, W) ``attention`` as `in_photo` gives it, dark where unseen."""
    grey = np.asarray(photo.convert("L").convert("RGB"), np.float32) / 255
    seen = ~np.isnan(attention)[..., None]
    strength = np.nan_to_num(attention)[..., None]
    colours = matplotlib.colormaps[COLOURS](np.nan_to_num(attention))[..., :3]
    mixed = (0.25 + 0.45 * strength) * colours + (0.75 - 0.45 * strength) * grey
    made = np.where(seen, mixed, UNSEEN * grey)
    return Image.fromarray((made * 255 + 0.5).clip(0, 255).astype(np.uint8))
