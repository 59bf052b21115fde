"""The data of one run as Lightning loads them."""

import atexit
import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import cast

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from deit.config.errors import ConfigError
from deit.config.material import Augment, Data
from deit.data.batches import EvalBatch, EvalImages, RawBatch, TrainBatch, TrainViews, as_it_is
from deit.data.finishing import finish, normalised
from deit.data.keys import Key
from deit.data.order import EvalBatches, TrainBatches
from deit.data.pixels.warps import kernels
from deit.data.sources import DataSet, Split
from deit.data.unreadable import Skipped
from deit.data.views import EvalView, TrainView

IGNORED_BY_WORKERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class KeyedData(LightningDataModule):
    """Loads training views by key and evaluation images in order.

    Args:
        dataset: The opened data set.
        data, augment: Its settings.
        image_size: Side of the images in pixels.
        batch_size: Samples of one forward pass over all devices.
        seed: Seed of the run.
        views: Epochs after which the views come again; None: never.

    Raises:
        ConfigError: for a policy that timm does not know.
    """

    def __init__(
        self,
        dataset: DataSet,
        data: Data,
        augment: Augment,
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        views: int | None = None,
    ) -> None:
        super().__init__()
        self.dataset, self.data, self.augment = dataset, data, augment
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.views = views
        self.num_classes = len(dataset.classes)
        self.skipped = Skipped(data, dataset.classes)
        self.view = TrainView(augment, data, image_size=image_size)  # here, so that its mistakes are told at once

    @property
    def _place(self) -> tuple[int, int]:
        """Rank of this device and the number of devices."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def train_dataloader(self) -> DataLoader:
        """Loader of the training views, from where the trainer stands.

        Raises:
            ConfigError: if there are fewer pairs of images than devices.
        """
        return loader(self._train_views(), self._train_batches(self._start()), self.data.workers)

    def epoch_loader(self, epoch: int, wanted: Callable[[list[Key]], bool]) -> DataLoader:
        """Loader of one epoch's batches, of those whose keys are ``wanted``; the others are not rendered."""
        batches = [keys for keys in self._train_batches((epoch, 0)) if wanted(keys)]
        return loader(self._train_views(), batches, self.data.workers)

    def _train_views(self) -> TrainViews:
        return TrainViews(self.dataset.train, self.view, seed=self.seed)

    @property
    def num_train_batches(self) -> int:
        """Batches of an epoch on this device."""
        return len(self._train_batches((0, 0)))

    @property
    def num_train_views(self) -> int:
        """Views of an epoch over all devices."""
        return self._train_batches((0, 0)).num_views

    def _train_batches(self, start: tuple[int, int]) -> TrainBatches:
        rank, world_size = self._place
        split = self.dataset.train
        if len(split) < 2 * world_size:
            raise ConfigError(
                f"data={self.data.name} has {len(split)} training images, but {world_size} devices need at least"
                f" {2 * world_size}; pass trainer.devices=1 or a larger data.train_fraction"
            )
        assert not self.augment.mixes or self.batch_size % (2 * world_size) == 0, "the rules promise whole pairs"
        return TrainBatches(
            split.indices,
            batch_size=self.batch_size,
            seed=self.seed,
            repeats=self.augment.repeats,
            order=self.augment.order,
            views=self.views,
            rank=rank,
            world_size=world_size,
            start=start,
        )

    def rendered(self, epoch: int, pairs: int, device: torch.device) -> TrainBatch:
        """The first ``pairs`` pairs of an epoch on this device, finished as for training."""
        batches = self._train_batches((epoch, 0))
        keys = [key for batch in itertools.islice(batches, 2 * pairs) for key in batch][: 2 * pairs]
        raw = self._train_views().__getitems__(keys)
        batch = self.on_after_batch_transfer(self.transfer_batch_to_device(raw, device, 0), 0)
        assert isinstance(batch, TrainBatch)
        return batch

    def val_dataloader(self) -> DataLoader:
        return self._eval_loader(self.dataset.val)

    def test_dataloader(self) -> DataLoader:
        return self._eval_loader(self.dataset.test)

    def test_sample(self, most: int) -> DataLoader:
        """Loader of at most so many images of the test split, evenly spread over it."""
        split = self.dataset.test
        return self._eval_loader(Split(split.source, split.indices[:: -(-len(split) // most)]))

    def test_images(self, indices: Sequence[int]) -> EvalBatch:
        """The test images at ``indices`` of their source as `test_dataloader` yields them: uint8."""
        return self._eval_images(self.dataset.test).__getitems__(indices)

    def transfer_batch_to_device(
        self, batch: RawBatch | EvalBatch, device: torch.device, dataloader_idx: int
    ) -> RawBatch | EvalBatch:
        """Move what is computed with; keys and boxes are read on the CPU, without waiting for the device.

        Raises:
            RunError: for images that cannot be read, if the run is not to go on without them.
        """
        self.skipped.hear(batch.faults)
        images, labels = (tensor.to(device, non_blocking=True) for tensor in (batch.images, batch.labels))
        return batch._replace(images=images, labels=labels)

    def on_after_batch_transfer(self, batch: RawBatch | EvalBatch, dataloader_idx: int) -> TrainBatch | EvalBatch:
        """Finish a batch on the device where it is used."""
        if isinstance(batch, EvalBatch):
            return batch._replace(images=normalised(batch.images, self.data))
        return finish(batch, augment=self.augment, data=self.data, seed=self.seed, num_classes=self.num_classes)

    def _start(self) -> tuple[int, int]:
        """Epoch and batch to begin with: Lightning restores its loops before it asks for this loader."""
        if self.trainer is None:
            return 0, 0
        fit = self.trainer.fit_loop
        # An epoch that was processed but not yet completed when it was saved counts: the next one comes.
        epoch = fit.epoch_progress.current.processed  # pyright: ignore[reportAttributeAccessIssue] - typed too widely
        return epoch, fit.epoch_loop.batch_progress.current.completed if fit.restarting else 0

    def _eval_loader(self, split: Split) -> DataLoader:
        rank, world_size = self._place
        per_device = max(1, self.batch_size // world_size)
        batches = EvalBatches(split.indices, batch_size=per_device, rank=rank, world_size=world_size)
        return loader(self._eval_images(split), batches, self.data.workers)

    def _eval_images(self, split: Split) -> EvalImages:
        return EvalImages(split.source, EvalView(self.data, image_size=self.image_size, crop=self.augment.eval_share))


def loader(dataset: TrainViews | EvalImages, batches: TrainBatches | EvalBatches | list, workers: int) -> DataLoader:
    """Loads ``batches`` of keys or positions, a list each, in their order.

    workers: processes that do it; 0: this one.
    """
    if workers and kernels is not None:
        kernels.warm_up()  # before the workers are made, or each would do it
    return DataLoader(
        dataset,
        batch_sampler=cast(torch.utils.data.Sampler, batches),
        collate_fn=as_it_is,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker if workers else None,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


def _start_worker(worker: int) -> None:
    """One thread a worker; signals are the main process's to answer, which ends its workers itself."""
    torch.set_num_threads(1)
    for name in IGNORED_BY_WORKERS:
        signal.signal(name, signal.SIG_IGN)
    sys.excepthook = _unless_cut_off


def _unless_cut_off(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show what went wrong in a worker's thread, but for a main process that ended while it was handed a batch: why it
    ended is said there."""
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def _let_collectives_end() -> None:
    """Wait before a fork until gloo's threads have let go of the last collective.

    They take Python's lock for that a moment after it has returned, and a child that is forked in that moment waits for
    the lock for ever: a data worker that never comes, seen once in some thousand.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        time.sleep(0.1)  # far longer than they take, and nothing else is under way


os.register_at_fork(before=_let_collectives_end)


@atexit.register
def _end_workers() -> None:
    """Kill the workers that an error has left: they ignore what multiprocessing sends, and it would wait for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch would raise that a worker died
    for worker in multiprocessing.active_children():
        worker.kill()
