"""What a loader yields and what a module gets: uint8 on the way, finished once a batch on the device.

Shapes: B batch, K classes, H, W sides in pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from deit.config.material import Augment, Data
from deit.data.keys import Key, Stream, mix, seed_globals
from deit.data.mixing import mix_batch
from deit.data.sources import ImageSource
from deit.data.views import EvalView, TrainView


class RawBatch(NamedTuple):
    """Views as the workers made them, not yet erased or mixed. Keys and boxes stay on the CPU, where they are read."""

    images: Tensor
    """(B, 3, H, W) uint8."""
    labels: Tensor
    """(B,) int64."""
    views: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64."""
    boxes: Tensor
    """(B, 4) int64: top, left, height, width of what is to be erased."""


class TrainBatch(NamedTuple):
    """What student and teacher see."""

    images: Tensor
    """(B, 3, H, W) float32; in [0, 1] but for erased pixels."""
    targets: Tensor
    """(B, K) float32: label distribution, smoothed and mixed."""
    views: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64."""


class EvalBatch(NamedTuple):
    """Images to be classified."""

    images: Tensor
    """(B, 3, H, W) uint8 from the loader, float32 in [0, 1] for the module."""
    labels: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64: position in the source."""


class TrainViews(Dataset[RawBatch]):
    """Training views of a source, addressed by `Key`."""

    def __init__(self, source: ImageSource, view: TrainView, *, seed: int) -> None:
        self.source, self.view, self.seed = source, view, seed

    def __getitem__(self, key: Key) -> RawBatch:
        seed_globals(self.seed, Stream.VIEW, key.view, key.index)
        image, box = self.view(self.source.image(key.index))
        number = torch.tensor
        return RawBatch(image, number(self.source.labels[key.index]), number(key.view), number(key.index), number(box))


class EvalImages(Dataset[EvalBatch]):
    """Evaluation images of a source, addressed by their position in it."""

    def __init__(self, source: ImageSource, view: EvalView) -> None:
        self.source, self.view = source, view

    def __getitem__(self, index: int) -> EvalBatch:
        label = torch.tensor(self.source.labels[index])
        return EvalBatch(self.view(self.source.image(index)), label, torch.tensor(index))


def finish(raw: RawBatch, *, augment: Augment, data: Data, seed: int, num_classes: int) -> TrainBatch:
    """Turn a batch into what the networks see: to [0, 1], erased, mixed."""
    images = raw.images.float().div_(255)
    erase(images, raw, mean=data.mean, std=data.std, seed=seed)
    images, targets = mix_batch(
        images, raw.labels, raw.views, raw.indices, augment=augment, seed=seed, num_classes=num_classes
    )
    return TrainBatch(images, targets, raw.views, raw.indices)


def erase(images: Tensor, raw: RawBatch, *, mean: list[float], std: list[float], seed: int) -> None:
    """Fill each box with noise, in place.

    The official recipe erases after normalisation with N(0, 1); before it, that is N(mean, std) a channel.
    """
    centre = torch.tensor(mean).view(3, 1, 1)
    spread = torch.tensor(std).view(3, 1, 1)
    keys = zip(raw.boxes.tolist(), raw.views.tolist(), raw.indices.tolist(), strict=True)
    for i, ((top, left, height, width), view, index) in enumerate(keys):
        if height and width:
            generator = torch.Generator().manual_seed(mix(seed, Stream.ERASE, view, index))
            noise = torch.randn(3, height, width, generator=generator) * spread + centre
            images[i, :, top : top + height, left : left + width] = noise.to(images.device)
