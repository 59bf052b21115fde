"""The end of a batch, once for all its images and on the device where they are used: normalised, erased, mixed.

In this order, which is the official code's: erased boxes hold N(0, 1) among normalised pixels. Compiled loops do it on
the CPU, to two partners at a time, while they are in the cache; elsewhere, and where numba is missing, tensors do it to
all images at once. The values are the same.

Shapes: B batch, K classes, H, W sides in pixels.
"""

import weakref
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from deit.config.material import Augment, Data
from deit.data.batches import RawBatch, TrainBatch
from deit.data.keys import Stream, mix
from deit.data.mixing import Mix, draw_batch, mix_images, mix_targets, smooth_targets
from deit.data.pixels.warps import kernels
from deit.data.views import NOWHERE, Box


class Noise(NamedTuple):
    """What fills an erased box."""

    position: int
    """In the batch."""
    box: Box
    pixels: Tensor
    """(3, h, w) float32."""


def finish(raw: RawBatch, *, augment: Augment, data: Data, seed: int, num_classes: int) -> TrainBatch:
    """Turn a batch into what the networks see."""
    height, width = raw.images.shape[-2:]
    mixes, partner = draw_batch(raw.views, raw.indices, augment=augment, seed=seed, height=height, width=width)
    noises = draw_noise(raw, seed=seed)
    if raw.images.device.type == "cpu" and kernels is not None:
        images = _by_twos(raw.images, data, noises, mixes, partner)
    else:
        images = normalised(raw.images, data)
        erase(images, noises)
        if mixes:
            mix_images(images, mixes, partner)
    targets = smooth_targets(raw.labels, num_classes, augment.smoothing)
    if mixes:
        targets = mix_targets(targets, mixes, partner)
    substituted = torch.isin(raw.indices, torch.tensor([fault.image for fault in raw.faults], dtype=torch.int64))
    if mixes:
        substituted = substituted | substituted[partner]
    return TrainBatch(images, targets, raw.views, raw.indices, substituted)


def normalised(images: Tensor, data: Data) -> Tensor:
    """(B, 3, H, W) uint8 to float32, normalised by the data's mean and deviation, plane by plane in memory."""
    scale, shift = (torch.from_numpy(values).to(images.device).view(3, 1, 1) for values in _scale_and_shift(data))
    return images.contiguous().float().mul_(scale).sub_(shift)


def _scale_and_shift(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """What (pixel / 255 - mean) / std does, as one product and one difference: each (3,) float32."""
    mean, std = np.array(data.mean), np.array(data.std)
    return (1 / (255 * std)).astype(np.float32), (mean / std).astype(np.float32)


def draw_noise(raw: RawBatch, *, seed: int) -> list[Noise]:
    """Noise for each box of a batch, a function of the view's key: drawn on the CPU whatever the device."""
    noises = []
    keys = zip(raw.boxes.tolist(), raw.views.tolist(), raw.indices.tolist(), strict=True)
    for position, (corners, view, index) in enumerate(keys):
        box = Box(*corners)
        if box.height and box.width:
            generator = torch.Generator().manual_seed(mix(seed, Stream.ERASE, view, index))
            noises.append(Noise(position, box, torch.randn(3, box.height, box.width, generator=generator)))
    return noises


def erase(images: Tensor, noises: list[Noise]) -> None:
    """Fill each box of (B, 3, H, W) images with its noise, in place."""
    pixels = [noise.pixels for noise in noises]
    if noises and images.device.type == "cuda":  # one transfer, for which nobody waits
        flat = torch.cat([noise.flatten() for noise in pixels]).pin_memory().to(images.device, non_blocking=True)
        parts = flat.split([noise.numel() for noise in pixels])
        pixels = [part.view_as(noise) for part, noise in zip(parts, pixels, strict=True)]
    for (position, (top, left, height, width), _), noise in zip(noises, pixels, strict=True):
        images[position, :, top : top + height, left : left + width] = noise


class _Room:
    """Memory for batches, given out again once no tensor holds it.

    To get it from the system takes longer than to fill it: every page of it is made anew.
    """

    KEPT = 2  # the batch that is worked on, and the next

    def __init__(self) -> None:
        self.places: list[tuple[np.ndarray, weakref.ref[np.ndarray]]] = []

    def of(self, shape: tuple[int, ...]) -> Tensor:
        """float32 of some ``shape``, whatever it holds."""
        free = [planes for planes, given in self.places if given() is None and planes.shape == shape]
        planes = free[0] if free else np.empty(shape, np.float32)
        view = planes.view()  # an object that lives as long as the tensor's memory is used
        others = [place for place in self.places if place[0] is not planes]
        self.places = [(planes, weakref.ref(view)), *others][: self.KEPT]
        return torch.from_numpy(view)


_ROOM = _Room()


def _by_twos(images: Tensor, data: Data, noises: list[Noise], mixes: list[Mix], partner: Tensor) -> Tensor:
    assert kernels is not None
    finished = _ROOM.of(tuple(images.shape))
    pixels, planes = images.permute(0, 2, 3, 1).contiguous().numpy(), finished.numpy()
    scale, shift = _scale_and_shift(data)
    noise_of = {noise.position: [noise] for noise in noises}
    for i, j in enumerate(partner.tolist()):
        if j < i:
            continue
        if i != j and mixes[i].box == NOWHERE and not {i, j} & noise_of.keys():
            share = mixes[i].strength
            kernels.normalise_mixed(pixels[i], pixels[j], planes[i], planes[j], scale, shift, share)
            continue
        for position in {i, j}:
            kernels.normalise(pixels[position], planes[position], scale, shift)
            erase(finished, noise_of.get(position, []))
        if i != j:
            kernels.mix_pair(planes[i], planes[j], mixes[i].strength, *mixes[i].box)
    return finished
