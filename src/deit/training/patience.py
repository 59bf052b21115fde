"""The end of a training that no longer improves: trainer.patience."""

import logging
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

log = logging.getLogger(__name__)


class Patience(EarlyStopping):
    """Ends training after so many epochs in a row without a better accuracy on the validation split.

    Its count is in every checkpoint, so that a run which was cut off ends at the same epoch, also if that is the one
    that was cut off.

    Args:
        epochs: How many.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(monitor="val/acc1", mode="max", patience=epochs, check_on_train_epoch_end=True)
        self.stopped: dict[str, int] | None = None
        """For run.json: epochs trained and planned, and the patience; None where it lasted."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count, but not the patience: another run's checkpoint may be resumed with more of it."""
        super().load_state_dict(state_dict | {"patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once what had ended when its last checkpoint was written: Lightning forgets that."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epochs, planned = self.stopped_epoch + 1, trainer.max_epochs
        assert planned is not None
        if self.wait_count < self.patience or epochs == planned:
            return
        self.stopped = {"epochs": epochs, "planned": planned, "patience": self.patience}
        log.info(
            f"training ends after epoch {epochs} of {planned}: no better accuracy on the validation split for"
            f" {self.patience} epochs; trainer.patience=null trains to the end"
        )
