"""Progress of a training: a bar where a person watches, a line an epoch elsewhere."""

import logging
import sys

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)

SHOWN = ("train/loss", "val/acc1", "val/agreement", "train/images_per_s")


class EpochLines(Callback):
    """Logs one line an epoch, for files and terminals that draw no bars."""

    def __init__(self, what: str) -> None:
        self.what = what

    @rank_zero_only
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = [f"{name} {trainer.callback_metrics[name]:.4g}" for name in SHOWN if name in trainer.callback_metrics]
        log.info(f"{self.what}: epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {', '.join(values)}")


def callback(what: str, *, bar: bool) -> Callback:
    """How ``what`` shows its progress; ``bar`` is whether one is wanted where the terminal can draw it."""
    if bar and sys.stdout.isatty():
        return RichProgressBar(refresh_rate=10)  # a refresh reads the loss, for which a GPU must be waited for
    return EpochLines(what)
