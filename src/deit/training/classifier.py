"""What the three LightningModules have in common: optimiser, randomness, averages, and going on where they stopped."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, distributed

from deit.config.errors import ConfigError
from deit.config.execution import Optim
from deit.data.batches import EvalBatch, TrainBatch
from deit.data.datamodule import KeyedData
from deit.data.keys import Stream, mix
from deit.evaluation.averages import Averages
from deit.training import optimizer
from deit.training.checkpoints import PROGRESS


class Classifier(LightningModule, ABC):
    """What the three have in common: optimiser, randomness, and averages that are logged once an epoch.

    Args:
        optim: Optimiser and schedule.
        seed: Seed of the run, for dropout and stochastic depth.
        train_names, eval_names: What `training_step` and `evaluate` average.
    """

    def __init__(self, optim: Optim, *, seed: int, train_names: tuple[str, ...], eval_names: tuple[str, ...]) -> None:
        super().__init__()
        self.optim, self.seed = optim, seed
        self.train_averages = Averages(train_names)
        self.val_averages, self.test_averages = Averages(eval_names), Averages(eval_names)
        self._epoch_began = self._last_step = 0.0
        self._epoch_images = self._images = 0
        self._seconds = self._epoch_earlier_s = 0.0

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Lightning's own estimate would open the loader before a resumed run knows where it stands.
        data = cast(KeyedData, self.trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]
        steps = -(-data.num_train_batches // self.trainer.accumulate_grad_batches)
        clipped = self.trainer.gradient_clip_val is not None
        chosen, schedule = optimizer.build(self, self.optim, steps_per_epoch=steps, clipped=clipped)
        return {"optimizer": chosen, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @abstractmethod
    def evaluate(self, batch: EvalBatch, stage: str) -> dict[str, Tensor]:
        """Per-image values of ``eval_names``, each (B,)."""

    @property
    def images_per_s(self) -> float:
        """Images of all devices a second of training, validation left out; 0 before the first epoch ends."""
        return self._images / self._seconds if self._seconds else 0.0

    def on_train_batch_start(self, batch: TrainBatch, batch_idx: int) -> None:
        # Dropout is a function of position and device: nothing is left in a generator that a resume would lose.
        # Masks of stochastic depth are keyed by sample instead (StudentModule).
        step_seed = mix(self.seed, Stream.STEP, self.current_epoch, batch_idx, self.global_rank)
        torch.default_generator.manual_seed(step_seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(step_seed)

    def on_train_start(self) -> None:
        self._epoch_began = time.perf_counter() - self._epoch_earlier_s  # an epoch may have begun in another process

    def on_train_epoch_start(self) -> None:
        self._epoch_began, self._epoch_images = time.perf_counter(), 0

    def progress(self) -> dict[str, Any]:
        """What this device has counted and averaged so far: what `take_up` goes on from in another process."""
        return {
            "averages": self.train_averages.sums(),
            "images": (self._images, self._epoch_images),
            "seconds": (self._seconds, max(0.0, self._last_step - self._epoch_began)),
        }

    def take_up(self, progress: Mapping[str, Any]) -> None:
        """Go on from what `progress` gave."""
        self.train_averages.restore(progress["averages"])
        self._images, self._epoch_images = progress["images"]
        self._seconds, self._epoch_earlier_s = progress["seconds"]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[PROGRESS] = [self.progress()]
        if self.trainer.world_size > 1:
            checkpoint[PROGRESS] = [None] * self.trainer.world_size
            distributed.all_gather_object(checkpoint[PROGRESS], self.progress())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what this device had counted, where training goes on from the checkpoint.

        Raises:
            ConfigError: if the checkpoint is of another number of devices.
        """
        if self.trainer.state.fn is not TrainerFn.FITTING:
            return  # the best weights are read to be measured: counts are those of the whole training
        ranks = checkpoint[PROGRESS]
        if len(ranks) != self.trainer.world_size:
            raise ConfigError(
                f"the checkpoint is of a run on {len(ranks)} devices, this one has {self.trainer.world_size}; pass"
                f" trainer.devices and trainer.num_nodes for {len(ranks)} together, or resume=never"
            )
        self.take_up(ranks[self.global_rank])

    def record(self, batch: TrainBatch, values: dict[str, Tensor]) -> None:
        """Average training values, scalars or (B,), over the epoch's images."""
        size = len(batch.images)
        self.train_averages.update({name: value.expand(size) for name, value in values.items()})
        self._epoch_images += size * self.trainer.world_size

    def on_train_batch_end(self, outputs: object, batch: TrainBatch, batch_idx: int) -> None:
        self._last_step = time.perf_counter()  # validation comes before the epoch's end

    def on_train_epoch_end(self) -> None:
        seconds = self._last_step - self._epoch_began
        self._images, self._seconds = self._images + self._epoch_images, self._seconds + seconds
        values = {name: float(value) for name, value in self.train_averages.compute("train").items()}
        values["train/lr"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        values["train/images_per_s"] = self._epoch_images / seconds
        self.log_dict(values, logger=False)
        # Lightning would log after the checkpoint is written, and a run killed between the two would miss the row.
        for logger in self.loggers:
            logger.log_metrics(values | {"epoch": self.current_epoch}, step=self.trainer.global_step - 1)

    def validation_step(self, batch: EvalBatch, batch_idx: int) -> None:
        if len(batch.images):  # none where no image of a batch could be read
            self.val_averages.update(self.evaluate(batch, "val"))

    def on_validation_epoch_end(self) -> None:
        for name, value in self.val_averages.compute("val").items():
            self.log(name, value, prog_bar=name in ("val/acc1", "val/agreement"))

    def test_step(self, batch: EvalBatch, batch_idx: int) -> None:
        if len(batch.images):
            self.test_averages.update(self.evaluate(batch, "test"))

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.test_averages.compute("test"))
