"""Stops a training whose loss is no number any more, before it overwrites a good checkpoint."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from deit.config.errors import RunError
from deit.config.schema import Config

CHECK_EVERY = 50  # batches between two looks at a GPU's memory, for which the GPU must be waited for
NEVER = 2**62


class FiniteLoss(Callback):
    """Notes the first batch with a loss that is not finite, on the device, and stops the run at the next look.

    It looks after every batch on a single CPU, else every `CHECK_EVERY` batches, at each epoch's end, and before a
    checkpoint is written.

    Args:
        config: What runs, for what to try.
        checkpoints: Folder of the run's checkpoints.
    """

    def __init__(self, config: Config, checkpoints: Path) -> None:
        self.config, self.checkpoints = config, checkpoints
        self._first_bad = torch.tensor(NEVER)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first_bad = torch.tensor(NEVER, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        loss = cast(dict[str, Tensor], outputs)["loss"]
        bad = torch.where(torch.isfinite(loss), NEVER, batch_idx)
        self._first_bad = torch.minimum(self._first_bad, bad)
        cheap = pl_module.device.type == "cpu" and trainer.world_size == 1
        if cheap or trainer.is_last_batch or (batch_idx + 1) % CHECK_EVERY == 0:
            self._look(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        # A device alone may have met it, and all must stop together.
        first = int(trainer.strategy.reduce(self._first_bad, reduce_op="min"))
        if first < NEVER:
            raise RunError(self._message(trainer, first))

    def _message(self, trainer: Trainer, batch: int) -> str:
        batches, accumulated = int(trainer.num_training_batches), trainer.accumulate_grad_batches
        step = trainer.current_epoch * -(-batches // accumulated) + batch // accumulated  # an epoch ends with a step
        last = self.checkpoints / "last.ckpt"
        kept = f"the last good checkpoint is {last}" if last.is_file() else "no checkpoint was written yet"
        return (
            f"the loss is not finite at step {step} (epoch {trainer.current_epoch}, batch {batch} of {batches}, all"
            f" from 0); the run was stopped, {kept}. To try, the likeliest first: {'; '.join(self._cures())}"
        )

    def _cures(self) -> list[str]:
        c = self.config
        cures = []
        if c.trainer.precision == "16-mixed":
            cures.append("trainer.precision=bf16-mixed, whose range is that of float32")
        if c.trainer.precision != "32-true":
            if not c.model.float32_attention:
                cures.append("model.float32_attention=true")
            cures.append("trainer.precision=32-true")
        if c.trainer.clip_grad is None:
            cures.append("trainer.clip_grad=1.0")
        cures.append(f"optim.lr={c.optim.lr / 2:g}, half of what it is")
        return cures
