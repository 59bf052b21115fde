"""What a loader yields and what a module gets: uint8 on the way, finished once a batch on the device.

Shapes: B batch, K classes, H, W sides in pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from deit.data.keys import Key, Stream, seed_globals
from deit.data.sources import ImageSource
from deit.data.views import Box, EvalView, TrainView


class Rendered(NamedTuple):
    """One view as a worker made it."""

    image: Tensor
    """(3, H, W) uint8, the channels of a pixel side by side in memory."""
    label: int
    key: Key
    box: Box
    """What is to be erased."""


class Shown(NamedTuple):
    """One image to be classified."""

    image: Tensor
    """(3, H, W) uint8, the channels of a pixel side by side in memory."""
    label: int
    position: int
    """In the source."""


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
    """(B, 3, H, W) float32, normalised by the data's mean and deviation."""
    targets: Tensor
    """(B, K) float32: label distribution, smoothed and mixed."""
    views: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64."""


class EvalBatch(NamedTuple):
    """Images to be classified."""

    images: Tensor
    """(B, 3, H, W) uint8 from the loader, normalised float32 for the module."""
    labels: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64: position in the source."""


class TrainViews(Dataset[Rendered]):
    """Training views of a source, addressed by `Key`."""

    def __init__(self, source: ImageSource, view: TrainView, *, seed: int) -> None:
        self.source, self.view, self.seed = source, view, seed

    def __getitem__(self, key: Key) -> Rendered:
        seed_globals(self.seed, Stream.VIEW, key.view, key.index)
        image, box = self.view.of(self.source, key.index)
        return Rendered(image, int(self.source.labels[key.index]), key, box)


class EvalImages(Dataset[Shown]):
    """Evaluation images of a source, addressed by their position in it."""

    def __init__(self, source: ImageSource, view: EvalView) -> None:
        self.source, self.view = source, view

    def __getitem__(self, index: int) -> Shown:
        return Shown(self.view.of(self.source, index), int(self.source.labels[index]), index)


def collate_views(views: Sequence[Rendered]) -> RawBatch:
    """A batch of training views."""
    return RawBatch(
        _stacked(views),
        torch.tensor([view.label for view in views]),
        torch.tensor([view.key.view for view in views]),
        torch.tensor([view.key.index for view in views]),
        torch.tensor([view.box for view in views]),
    )


def collate_images(images: Sequence[Shown]) -> EvalBatch:
    """A batch of evaluation images."""
    labels = torch.tensor([image.label for image in images])
    return EvalBatch(_stacked(images), labels, torch.tensor([image.position for image in images]))


def _stacked(images: Sequence[Rendered] | Sequence[Shown]) -> Tensor:
    """(B, 3, H, W), by PyTorch's own stacking, which is into shared memory where a worker does it.

    As they lie in memory: to stack what is permuted would move every byte by itself.
    """
    return default_collate([item.image.permute(1, 2, 0) for item in images]).permute(0, 3, 1, 2)
