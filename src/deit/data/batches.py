"""What a loader yields and what a module gets: uint8 on the way, finished once a batch on the device.

Shapes: B batch, K classes, H, W sides in pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from deit.data.keys import Key, Stream, seed_globals
from deit.data.sources import ImageError, ImageSource, Split
from deit.data.unreadable import Fault, all_lost, fault, stand_ins
from deit.data.views import NOWHERE, Box, EvalView, TrainView


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
    faults: Sequence[Fault] = ()
    """Images that could not be read, for which others stand in."""


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
    substituted: Tensor
    """(B,) bool, on the CPU: whether an image's pixels, or those mixed into it, stand in for some that could not be
    read. What is computed of it says nothing of the view that its key names."""


class EvalBatch(NamedTuple):
    """Images to be classified, of those asked for all that can be read."""

    images: Tensor
    """(B, 3, H, W) uint8 from the loader, normalised float32 for the module."""
    labels: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64: position in the source."""
    faults: Sequence[Fault] = ()
    """Images that were asked for and could not be read."""


class TrainViews(Dataset[RawBatch]):
    """Training views of a split, addressed by `Key`, a batch at a time."""

    def __init__(self, split: Split, view: TrainView, *, seed: int) -> None:
        self.split, self.view, self.seed = split, view, seed

    def rendered(self, key: Key) -> tuple[Tensor, Box, Fault | None]:
        """One view: (3, H, W) uint8, what is to be erased from it, and why it is of another image, if it is."""
        try:
            return *self._of(key, key.index), None
        except ImageError as error:
            return self._stand_in(key, error)

    def _of(self, key: Key, index: int) -> tuple[Tensor, Box]:
        seed_globals(self.seed, Stream.VIEW, key.view, key.index)
        return self.view.of(self.split.source, index)

    def _stand_in(self, key: Key, error: ImageError) -> tuple[Tensor, Box, Fault]:
        source = self.split.source
        for other in stand_ins(self.split, key, self.seed):
            try:
                return *self._of(key, other), fault(source, key.index, error, lost=False)
            except ImageError:
                continue
        size = self.view.image_size
        nothing = torch.zeros(size, size, 3, dtype=torch.uint8).permute(2, 0, 1)
        return nothing, NOWHERE, fault(source, key.index, error, lost=True)

    def __getitems__(self, keys: Sequence[Key]) -> RawBatch:
        boxes: list[Box] = []
        faults: list[Fault] = []

        def image(key: Key) -> Tensor:
            made, box, unreadable = self.rendered(key)
            boxes.append(box)
            faults.extend([] if unreadable is None else [unreadable])
            return made

        images = _together(map(image, keys), len(keys), self.view.image_size)
        labels = torch.from_numpy(self.split.source.labels[[key.index for key in keys]])
        views, indices = (torch.tensor(part) for part in ([k.view for k in keys], [k.index for k in keys]))
        return RawBatch(images, labels, views, indices, torch.tensor(boxes), faults)


class EvalImages(Dataset[EvalBatch]):
    """Evaluation images of a source, addressed by their position in it, a batch at a time."""

    def __init__(self, source: ImageSource, view: EvalView) -> None:
        self.source, self.view = source, view

    def __getitems__(self, indices: Sequence[int]) -> EvalBatch:
        errors: dict[int, ImageError] = {}

        def readable() -> Iterator[Tensor]:
            for index in indices:
                try:
                    yield self.view.of(self.source, index)
                except ImageError as error:
                    errors[index] = error

        images = _together(readable(), len(indices), self.view.image_size)
        lost = len(errors) == len(indices) and all_lost(self.source)
        faults = [fault(self.source, index, error, lost=lost) for index, error in errors.items()]
        read = [index for index in indices if index not in errors]
        labels = torch.from_numpy(self.source.labels[read])
        return EvalBatch(images, labels, torch.tensor(read, dtype=torch.int64), faults)


def _together(images: Iterable[Tensor], most: int, size: int) -> Tensor:
    """At most so many images of one size as (B, 3, H, W) uint8, the channels of a pixel side by side as they come.

    Each is copied to its place while it is in the processor's cache, in a worker to where the main process reads it.
    """
    together = torch.empty(most, size, size, 3, dtype=torch.uint8)
    if get_worker_info() is not None:
        together.share_memory_()
    count = 0
    for count, image in enumerate(images, 1):
        # As in memory: to copy what is permuted would move every byte by itself.
        together[count - 1] = image.permute(1, 2, 0)
    return together[:count].permute(0, 3, 1, 2)


def as_it_is(loaded: Any) -> Any:  # noqa: ANN401
    """What a loader does with what needs no collating."""
    return loaded
