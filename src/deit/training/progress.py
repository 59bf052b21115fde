"""Progress of a training: a bar where a person watches, a line an epoch elsewhere."""

import logging
import sys
from argparse import Namespace
from collections.abc import Mapping

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)

SHOWN = ("train/loss", "val/acc1", "val/agreement", "train/images_per_s")


class EpochLines(Logger):
    """Says one line an epoch, for files and terminals that draw no bars.

    A logger and no callback: callbacks are called before a module has logged its epoch.
    """

    def __init__(self, what: str, *, epochs: int) -> None:
        super().__init__()
        self.what, self.epochs = what, epochs
        self.known: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "progress"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, object] | Namespace, *args: object, **kwargs: object) -> None:
        """Nothing: there is nothing to watch in them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.known.update(metrics)
        if "train/loss" in metrics:  # the last to come of an epoch
            values = ", ".join(f"{name} {self.known[name]:.4g}" for name in SHOWN if name in self.known)
            log.info(f"{self.what}: epoch {int(metrics['epoch']) + 1} of {self.epochs}, {values}")


def show(what: str, *, epochs: int, bar: bool) -> tuple[list[Callback], list[Logger]]:
    """Callbacks and loggers that show how ``what`` goes on.

    Args:
        bar: Whether a bar is wanted, where the terminal can draw one.
    """
    if bar and sys.stdout.isatty():
        return [RichProgressBar(refresh_rate=10)], []  # a refresh reads the loss, for which a GPU must be waited for
    return [], [EpochLines(what, epochs=epochs)]
