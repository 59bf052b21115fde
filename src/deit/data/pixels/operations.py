"""The operations of timm's policies on arrays: RandAugment's, AutoAugment's and 3-Augment's, by timm's names.

Each is called as timm calls its own: the image, what the level stands for, then the fill.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

from deit.data.pixels import points, warps
from deit.data.pixels.warps import Pixels

Operation = Callable[..., Pixels]

BLUR_RADIUS = (0.1, 2.0)  # pixels, of GaussianBlurRand: DeiT III's blur


def _point(change: Operation, pixels: Pixels, *level: float, **_: object) -> Pixels:
    """``change`` of colours, which has no use for a fill."""
    return change(pixels, *level)


def _warp(move: Operation, pixels: Pixels, level: float, *, fillcolor: Sequence[int], **_: object) -> Pixels:
    return move(pixels, level, fillcolor)


def _translate_x(pixels: Pixels, share: float, fill: Sequence[int]) -> Pixels:
    return warps.translate_x(pixels, share * pixels.shape[1], fill)


def _translate_y(pixels: Pixels, share: float, fill: Sequence[int]) -> Pixels:
    return warps.translate_y(pixels, share * pixels.shape[0], fill)


def _desaturate(pixels: Pixels, strength: float) -> Pixels:
    return points.colour(pixels, min(1.0, max(0.0, 1.0 - strength)))


def _blur_at_random(pixels: Pixels, factor: float) -> Pixels:
    return points.blur(pixels, random.uniform(BLUR_RADIUS[0], BLUR_RADIUS[1] * factor))


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": partial(_point, points.autocontrast),
    "Equalize": partial(_point, points.equalize),
    "Invert": partial(_point, points.invert),
    "Rotate": partial(_warp, warps.rotate),
    "Posterize": partial(_point, points.posterize),
    "PosterizeIncreasing": partial(_point, points.posterize),
    "PosterizeOriginal": partial(_point, points.posterize),
    "Solarize": partial(_point, points.solarize),
    "SolarizeIncreasing": partial(_point, points.solarize),
    "SolarizeAdd": partial(_point, points.solarize_add),
    "Color": partial(_point, points.colour),
    "ColorIncreasing": partial(_point, points.colour),
    "Contrast": partial(_point, points.contrast),
    "ContrastIncreasing": partial(_point, points.contrast),
    "Brightness": partial(_point, points.brightness),
    "BrightnessIncreasing": partial(_point, points.brightness),
    "Sharpness": partial(_point, points.sharpness),
    "SharpnessIncreasing": partial(_point, points.sharpness),
    "ShearX": partial(_warp, warps.shear_x),
    "ShearY": partial(_warp, warps.shear_y),
    "TranslateX": partial(_warp, warps.translate_x),
    "TranslateY": partial(_warp, warps.translate_y),
    "TranslateXRel": partial(_warp, _translate_x),
    "TranslateYRel": partial(_warp, _translate_y),
    "Desaturate": partial(_point, _desaturate),
    "GaussianBlur": partial(_point, points.blur),
    "GaussianBlurRand": partial(_point, _blur_at_random),
}
