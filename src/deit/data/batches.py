"""What a loader yields and what a module gets: uint8 on the way, finished once a batch on the device.

Shapes: B batch, K classes, H, W sides in pixels.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from deit.data.keys import Key, Stream, seed_globals
from deit.data.sources import ImageSource
from deit.data.views import Box, EvalView, TrainView


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


class TrainViews(Dataset[RawBatch]):
    """Training views of a source, addressed by `Key`, a batch at a time."""

    def __init__(self, source: ImageSource, view: TrainView, *, seed: int) -> None:
        self.source, self.view, self.seed = source, view, seed

    def rendered(self, key: Key) -> tuple[Tensor, Box]:
        """One view: (3, H, W) uint8, and what is to be erased from it."""
        seed_globals(self.seed, Stream.VIEW, key.view, key.index)
        return self.view.of(self.source, key.index)

    def __getitems__(self, keys: Sequence[Key]) -> RawBatch:
        boxes: list[Box] = []

        def image(key: Key) -> Tensor:
            made, box = self.rendered(key)
            boxes.append(box)
            return made

        images = _together(map(image, keys), len(keys))
        labels = torch.from_numpy(self.source.labels[[key.index for key in keys]])
        views, indices = (torch.tensor(part) for part in ([k.view for k in keys], [k.index for k in keys]))
        return RawBatch(images, labels, views, indices, torch.tensor(boxes))


class EvalImages(Dataset[EvalBatch]):
    """Evaluation images of a source, addressed by their position in it, a batch at a time."""

    def __init__(self, source: ImageSource, view: EvalView) -> None:
        self.source, self.view = source, view

    def __getitems__(self, indices: Sequence[int]) -> EvalBatch:
        images = _together((self.view.of(self.source, index) for index in indices), len(indices))
        return EvalBatch(images, torch.from_numpy(self.source.labels[list(indices)]), torch.tensor(indices))


def _together(images: Iterable[Tensor], count: int) -> Tensor:
    """``count`` images as (B, 3, H, W) uint8, the channels of a pixel side by side as they come.

    Each is copied to its place while it is in the processor's cache, in a worker to where the main process reads it.
    """
    together = torch.empty(0)
    for position, image in enumerate(images):
        laid = image.permute(1, 2, 0)  # as in memory: to copy what is permuted would move every byte by itself
        if not position:
            together = torch.empty(count, *laid.shape, dtype=torch.uint8)
            if get_worker_info() is not None:
                together.share_memory_()
        together[position] = laid
    return together.permute(0, 3, 1, 2)


def as_it_is(loaded: Any) -> Any:  # noqa: ANN401
    """What a loader does with what needs no collating."""
    return loaded
