"""Which rendering comes when: the order of an epoch, and how it is dealt to devices.

In our order neighbours form pairs, the unit of Mixup and CutMix: a pair is never split over devices, and who is
paired with whom depends on seed and view alone. The official order is the official code's sampler, to compare with.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch

from deit.config.material import Order
from deit.data.keys import Key, Stream, frozen_generator

ROUNDED_TO = 256  # the official sampler keeps a multiple of this many samples of an epoch


def epoch_order(num_images: int, epoch: int, seed: int, repeats: int) -> np.ndarray:
    """The renderings of one epoch.

    With repeated augmentation (Hoffer et al., 2020; DeiT section 6) an epoch holds a part of the
    images, ``repeats`` views of each. Over ``repeats`` epochs every image has its turn: these share
    one permutation, so an image's view number follows from the epoch alone. In each block of
    ``2 * repeats`` images, each view of an image meets another partner. Images that do not divide into
    parts of whole pairs (fewer than ``2 * repeats``) sit out, others in each permutation.

    Args:
        num_images: Images in the training split, at least 2.
        epoch: Number of the epoch, from 0.
        seed: Seed of the run.
        repeats: Views of an image in an epoch; fewer where there are not enough images.

    Returns:
        (L, 2) int64: view and position in the split; rows 2i and 2i + 1 are a pair.
    """
    repeats = max(1, min(repeats, num_images // 2))
    cycle, part = divmod(epoch, repeats)
    size = num_images // repeats // 2 * 2  # the same number of pairs in every epoch
    permutation = frozen_generator(seed, Stream.ORDER, cycle).permutation(num_images)
    chosen = permutation[part * size : (part + 1) * size]
    whole = size // (2 * repeats) * 2 * repeats
    blocks, rest = chosen[:whole].reshape(-1, 2 * repeats), chosen[whole:].reshape(1, -1)
    order = np.concatenate([_views(blocks, repeats), _views(rest, repeats)])
    order[:, 0] += cycle * repeats
    return order


def _views(blocks: np.ndarray, repeats: int) -> np.ndarray:
    """Views 0 to ``repeats - 1`` of each of b blocks of 2p positions, as (b * repeats * 2p, 2) of view and position."""
    even, odd = blocks[:, 0::2], blocks[:, 1::2]
    rows = np.empty((len(blocks), repeats, even.shape[1], 2, 2), dtype=np.int64)
    for view in range(repeats):
        rows[:, view, ..., 0] = view
        rows[:, view, :, 0, 1] = even
        rows[:, view, :, 1, 1] = np.roll(odd, -view, axis=1)
    return rows.reshape(-1, 2)


def official_order(num_images: int, epoch: int, repeats: int) -> np.ndarray:
    """The renderings of one epoch as the official code draws them (its samplers.py).

    A permutation seeded by the epoch alone, each image ``repeats`` times in a row. With repeats, as many samples are
    kept as there are images, down to a multiple of 256: each epoch sees a part of the images. A view's number
    is the epoch's first plus that of the copy, so that an image's views have gaps where it was not drawn.

    The official sampler pads to a multiple of the devices by starting over. That adds to an epoch only without repeats,
    and would give some numbers of devices a batch more than others: here nothing is padded.

    Args and returns as `epoch_order`.
    """
    permutation = torch.randperm(num_images, generator=torch.Generator().manual_seed(epoch)).numpy()
    order = np.empty((num_images * repeats, 2), dtype=np.int64)
    order[:, 0] = epoch * repeats + np.tile(np.arange(repeats), num_images)
    order[:, 1] = np.repeat(permutation, repeats)
    if repeats == 1:
        return order
    # Fewer than 256 images would leave nothing of an epoch: these are all kept.
    return order[: num_images // ROUNDED_TO * ROUNDED_TO or num_images]


class TrainBatches:
    """Batch sampler of one device: lists of `Key`.

    A global batch is a run of the epoch's order, of which this device takes every ``world_size``-th pair, or every
    ``world_size``-th sample of the official order: the union over devices does not depend on their number. The last
    batch may be smaller, but has as many pairs on every device; the official order drops it, unless it is the only one:
    an epoch without a batch would train nothing. A batch that does not divide into pairs, which nothing mixes, is dealt
    by samples.

    Args:
        indices: (n,) positions in the source of the images that are trained on.
        batch_size: Samples of one forward pass over all devices; a multiple of world_size, and of 2 * world_size if
            images are mixed.
        views: Epochs after which the renderings come again; None: never.
        start: Epoch and batch to begin with, for a run that is resumed.
    """

    def __init__(
        self,
        indices: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        repeats: int,
        order: Order = Order.keyed,
        views: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        start: tuple[int, int] = (0, 0),
    ) -> None:
        assert batch_size % world_size == 0, "the configuration's rules promise as many samples on every device"
        self.indices, self.batch_size, self.seed, self.repeats = indices, batch_size, seed, repeats
        self.official, self.views = order is Order.official, views
        self.has_pairs = batch_size % (2 * world_size) == 0
        self.rank, self.world_size, self.start = rank, world_size, start
        self.epoch = start[0]
        self.sampler = self  # Lightning calls set_epoch on a batch sampler's sampler only

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _order(self, epoch: int) -> np.ndarray:
        """The epoch's renderings, as many as all devices get together."""
        epoch = epoch if self.views is None else epoch % self.views
        if self.official:
            order = official_order(len(self.indices), epoch, self.repeats)
            order = order[: max(len(order) // self.batch_size * self.batch_size, min(len(order), self.batch_size))]
        else:
            order = epoch_order(len(self.indices), epoch, self.seed, self.repeats)
        unit = (2 if self.has_pairs else 1) * self.world_size  # mixing needs an even number on every device
        return order[: len(order) // unit * unit]

    @cached_property
    def num_views(self) -> int:
        """Renderings of a whole epoch, over all devices; the same for every epoch."""
        return len(self._order(0))

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return -(-self.num_views // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        # No generator function: the epoch must be read now, not when a worker first asks for a batch. The keys are made
        # as they are asked for: those of an epoch of ImageNet would take seconds and hundreds of megabytes.
        first = self.start[1] if self.epoch == self.start[0] else 0
        order = self._order(self.epoch)
        return (self._share(order, batch) for batch in range(first, len(self)))

    def _share(self, order: np.ndarray, batch: int) -> list[Key]:
        rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        together = 2 if self.has_pairs and not self.official else 1  # pairs stay on one device
        mine = rows.reshape(-1, together, 2)[self.rank :: self.world_size]
        return [Key(int(view), int(self.indices[position])) for view, position in mine.reshape(-1, 2)]


class EvalBatches:
    """Batch sampler of one device for evaluation: every image once over all devices, none padded."""

    def __init__(self, indices: np.ndarray, *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.mine = [int(index) for index in indices[rank::world_size]]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.mine) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([self.mine[i : i + self.batch_size] for i in range(0, len(self.mine), self.batch_size)])
