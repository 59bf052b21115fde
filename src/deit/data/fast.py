"""The same views on arrays, in less than half the time: draw for draw the reference's, pixel for pixel within rounding.

Every random number comes from the code that draws it for the reference, so that a key names the same view here and
there. What changes is how its pixels are made: no more of a JPEG is decoded than the crop needs, and crop, mirror and
policy are loops over bytes. Shapes: H, W sides in pixels.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import simplejpeg
import torch
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torchvision.transforms import v2

from deit.config.material import Augment, Crop
from deit.data import reference
from deit.data.pixels import points
from deit.data.pixels.resize import mirrored, resized
from deit.data.pixels.thin import central_pixels, is_thin
from deit.data.pixels.warps import Pixels, kernels
from deit.data.policies import array_policy as policy
from deit.data.sources import ImageSource
from deit.data.sources.pictures import ArrayPicture, Picture

__all__ = ["crop", "evaluation", "jitter", "mirrored", "of_pixels", "opened", "policy", "to_tensor"]

ASPECTS = (3 / 4, 4 / 3)  # of a random resized crop, width over height, as timm draws them


def opened(source: ImageSource, index: int) -> Picture:
    """The image as the steps below take it."""
    return source.picture(index)


def of_pixels(pixels: Pixels) -> Picture:
    """The same of (H, W, 3) RGB pixels."""
    return ArrayPicture(pixels)


def crop(augment: Augment, size: int) -> Callable[[Picture], Pixels]:
    """What makes a square of ``size`` pixels of a training image."""
    if augment.crop is Crop.resized:
        return partial(_resized_crop, size, (augment.crop_scale[0], augment.crop_scale[1]))
    made = reference.crop(augment, size)
    assert isinstance(made, v2.Compose)
    return partial(_evaluated, made) if isinstance(made, reference.Evaluation) else partial(_through_tensor, made)


def evaluation(size: int, resized: int) -> Callable[[Picture], Pixels]:
    """The short side to ``resized`` pixels, then the central ``size``."""
    return partial(_evaluated, reference.evaluation(size, resized))


def _evaluated(made: reference.Evaluation, picture: Picture) -> Pixels:
    if is_thin(picture.height, picture.width, made.sides[1]):
        return central_pixels(picture.rows(0, picture.height), *made.sides)
    return _through_tensor(made, picture)


def _resized_crop(size: int, shares: tuple[float, float], picture: Picture) -> Pixels:
    """RandomResizedCrop: a random box of the picture, resized to a square."""
    form = torch.empty(1, picture.height, picture.width, device="meta")  # a size without pixels, to draw for
    top, left, height, width = RandomResizedCropAndInterpolation.get_params(form, shares, ASPECTS)
    # Of a picture of few pixels the box may round to none, at its very end.
    top, left = min(top, picture.height - 1), min(left, picture.width - 1)
    return resized(picture.rows(top, top + max(1, height))[:, left : left + max(1, width)], size, size)


def _through_tensor(transform: v2.Compose, picture: Picture) -> Pixels:
    """torchvision's own transform, which draws and cuts alike on tensors and on images."""
    made: Tensor = transform(torch.from_numpy(picture.rows(0, picture.height)).permute(2, 0, 1))
    return np.ascontiguousarray(made.permute(1, 2, 0).numpy())


def jitter(strength: float) -> Callable[[Pixels], Pixels]:
    """Random changes of brightness, contrast and saturation, in random order."""
    return partial(_jittered, v2.ColorJitter(strength, strength, strength))


def _jittered(drawing: v2.ColorJitter, pixels: Pixels) -> Pixels:
    drawn = drawing.make_params([])
    changes = (
        (points.brightness, drawn["brightness_factor"]),
        (points.contrast, drawn["contrast_factor"]),
        (points.colour, drawn["saturation_factor"]),
    )
    for which in drawn["fn_idx"].tolist():
        if which < len(changes):  # the fourth is hue, which is not changed
            change, factor = changes[which]
            pixels = change(pixels, factor)
    return pixels


def releases() -> dict[str, str]:
    """What makes the pixels besides the reference's own packages, and which release of it."""
    compiler = "none" if kernels is None else kernels.numba.__version__
    return {"simplejpeg": simplejpeg.__version__, "opencv": cv2.__version__, "numba": compiler}


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) as (3, H, W) uint8, its pixels side by side in memory."""
    return torch.from_numpy(pixels).permute(2, 0, 1)
