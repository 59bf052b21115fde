"""Checkpoints of a run: best.ckpt by validation accuracy, last.ckpt from which it goes on exactly.

A checkpoint is written under another name, synced, and renamed: a crash leaves the old one or the new one. It is a zip
archive, and the checksums that zip has of every part tell whether it still is what was written.
"""

import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from torch import distributed

from deit.config import drafts
from deit.config.errors import ConfigError, written
from deit.config.execution import Trainer as Settings
from deit.config.schema import Config
from deit.data.sources import DataSet
from deit.models.description import DESCRIPTION, describe
from deit.models.files import read_torch
from deit.training.preemption import Preempted, Signals

PROGRESS = "progress"
"""Key of a checkpoint under which what each device had counted and averaged is."""

BEST, LAST, PREVIOUS, NEXT = "best.ckpt", "last.ckpt", "previous.ckpt", "next.ckpt"

WAY_OUT = "pass resume=<a checkpoint that src/train.py has written>, or resume=never"


def is_whole(file: Path) -> bool:
    """Whether a checkpoint is what was written: nothing cut off, no bit changed."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError):
        return False


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """The checkpoint in ``folder`` to go on from, or None, and the newer ones that are damaged.

    Raises:
        ConfigError: if there are checkpoints and all are damaged.
    """
    damaged: list[Path] = []
    for file in (folder / LAST, folder / PREVIOUS):
        if not file.is_file():
            continue
        if is_whole(file):
            return file, damaged
        damaged.append(file)
    if damaged:
        raise ConfigError(
            f"{' and '.join(map(str, damaged))} damaged: the checksums do not agree; pass resume=never to start from"
            " the beginning"
        )
    return None, damaged


def step_of(file: Path) -> int:
    """Optimiser steps that led to a checkpoint; raises as `read_resumable`."""
    return int(read_resumable(file)["global_step"])


def read_resumable(file: Path) -> Mapping[str, Any]:
    """Read a checkpoint of a run; its tensors stay on disk until they are used.

    Raises:
        ConfigError: if ``file`` is no checkpoint of a run of ours.
    """
    content = read_torch(file, way_out=WAY_OUT)
    if not isinstance(content, Mapping) or PROGRESS not in content:
        raise ConfigError(
            f"{file} is no checkpoint that a run can go on from; possible are last.ckpt and best.ckpt of a run's"
            " checkpoints/; weights alone are started from with init=<file>"
        )
    return content


def forget(folder: Path, names: tuple[str, ...]) -> None:
    """Delete what an earlier process left to go on from."""
    for name in names:
        (folder / name).unlink(missing_ok=True)


class CheckpointFiles(TorchCheckpointIO):
    """How Lightning writes and reads checkpoints."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write all of ``checkpoint`` or nothing.

        Raises:
            RunError: if the disk does not take it.
        """
        path = Path(path)
        with written(path, "checkpoints written before are whole"):
            try:
                with drafts.draft(path) as draft, draft.open("wb") as file:
                    torch.save(checkpoint, file)
                _sync_folder(path.parent)
            except RuntimeError as error:  # what a file raises, torch puts another around
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

    def load_checkpoint(self, path: str | Path, *args: object, **kwargs: object) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            ConfigError: if it is damaged, or could not be read without executing code.
        """
        read_torch(Path(path), way_out=WAY_OUT)  # which names the file and compares checksums, unlike Lightning's way
        return super().load_checkpoint(path, *args, **kwargs)  # pyright: ignore[reportArgumentType] - handed on


class Description(Callback):
    """Puts into every checkpoint what it is of, so that the file alone can be used."""

    def __init__(self, config: Config, dataset: DataSet, data: str | None) -> None:
        self.content = describe(config, dataset.classes, data)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[DESCRIPTION] = self.content


class LastCheckpoint(Checkpoint):
    """Keeps last.ckpt, and the one before it, for a resume that ends as if nothing had happened.

    It is written when an epoch begins, every so many steps or minutes, at a signal, and when training ends. All but the
    last are written before a batch that begins an optimiser step: gradients, averages, schedule, validation and rows
    of the step before are then done, and the position says the rest.

    Args:
        folder: Where checkpoints lie.
        settings: When they are due.
        signals: What has arrived to end the run.
    """

    def __init__(self, folder: Path, settings: Settings, signals: Signals) -> None:
        self.folder, self.signals = folder, signals
        self.every_steps, self.every_s = settings.checkpoint_steps, 60 * settings.checkpoint_minutes
        self._saved_at, self._saved_step = time.monotonic(), 0
        self._before_batch = False
        self._began: float | None = None
        self._earlier_s = 0.0
        self._group: Any = None

    @property
    def fit_seconds(self) -> float:
        """Seconds of training, validation included, with those of earlier processes of the same run."""
        return self._earlier_s + (0.0 if self._began is None else time.monotonic() - self._began)

    def state_dict(self) -> dict[str, Any]:
        return {"fit_seconds": self.fit_seconds}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn is TrainerFn.FITTING and self.state_key in checkpoint["callbacks"]:
            self._earlier_s = float(checkpoint["callbacks"][self.state_key]["fit_seconds"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            # Ranks agree on the CPU: asking the GPUs in every step would make each wait for its own.
            self._group = distributed.new_group(backend="gloo")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step
        batches = trainer.fit_loop.epoch_loop.batch_progress
        batches.total.ready = batches.total.completed  # was saved while the next batch was ready
        self.signals.install()  # Lightning has put its own answers there
        self.signals.deferred = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        step = trainer.global_step
        due = step > self._saved_step and (
            batch_idx == 0
            or (self.every_steps is not None and step % self.every_steps == 0)
            or time.monotonic() - self._saved_at >= self.every_s
        )
        due, signal = self._agreed(due, self.signals.received)
        if step > self._saved_step and (due or signal):
            self._before_batch = True
            self._save(trainer)
            self._before_batch = False
        if signal:
            raise Preempted(signal, speaks=trainer.is_global_zero)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._earlier_s, self._began = self.fit_seconds, None
        self._save(trainer)
        self.signals.deferred = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.signals.deferred = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Correct Lightning's counters, so that they are those of a run that was never interrupted.

        They take the batch that has not begun yet for one that was trained, and after some restarts they count the
        validation batches of an epoch twice.
        """
        loop = checkpoint["loops"]["fit_loop"]
        validation = loop["epoch_loop.val_loop.batch_progress"]
        validation["total"] = dict(validation["current"])  # one validation an epoch
        if self._before_batch:
            loop["epoch_loop.batch_progress"]["current"]["ready"] -= 1
            loop["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1  # a restart adds one

    def _agreed(self, due: bool, signal: int) -> tuple[bool, int]:
        """Whether any rank finds a checkpoint due, and the highest signal that any has received."""
        if self._group is None:
            return due, signal
        said = torch.tensor([int(due), signal])
        distributed.all_reduce(said, distributed.ReduceOp.MAX, self._group)
        return bool(said[0]), int(said[1])

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / NEXT)
        if trainer.is_global_zero:
            if (self.folder / LAST).is_file():
                (self.folder / LAST).replace(self.folder / PREVIOUS)
            (self.folder / NEXT).replace(self.folder / LAST)
            _sync_folder(self.folder)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step


def _sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` outlast a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
