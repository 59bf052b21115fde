"""best.ckpt: the checkpoint of the epoch with the highest validation accuracy."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from deit.config.errors import ConfigError
from deit.training.checkpoints import BEST, read_resumable

log = logging.getLogger(__name__)

SCORE, STEP = "best_model_score", "best_step"
"""Keys of the state in a checkpoint: Lightning's, and the optimiser steps that led to the best epoch's end."""


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt by accuracy on the validation split.

    Of equally good epochs the later one is the best: on a small split many are equal, and the first of
    them is the one that has trained least. Which epoch was the best is known by its step and score, not by a path: the
    folder may have moved, and the checkpoint may be another run's.
    """

    best_step: int | None = None
    """Optimiser steps that led to best.ckpt; None before there is one, or where an earlier release wrote it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename=Path(BEST).stem,
            monitor="val/acc1",
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,  # a resumed run goes on writing the same name
        )

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        equal = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        return equal or super().check_monitor_top_k(trainer, current)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {STEP: self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which epoch is the best, as the best.ckpt of this folder, wherever it lay before."""
        own, score = str(Path(str(self.dirpath)) / BEST), state_dict[SCORE]
        paths: dict[str, Any] = {"dirpath": self.dirpath, "last_model_path": ""}
        if score is not None:
            paths |= {"best_model_path": own, "kth_best_model_path": own, "best_k_models": {own: score}}
        super().load_state_dict(state_dict | paths)
        self.best_step = state_dict.get(STEP)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.best_step = trainer.global_step
        super()._save_checkpoint(trainer, filepath)


def check(trainer: Trainer, file: Path) -> None:
    """Compare best.ckpt with the epoch that the run knows as its best; log a difference, because the file is tested.

    Without deterministic arithmetic a resumed run may not reach an accuracy again that it had reached before it was cut
    off, and that best.ckpt has.

    Raises:
        ConfigError: if there is none that can be read.
    """
    if not file.is_file():
        raise ConfigError(
            f"{file} must hold the best epoch to be tested, and is missing. Put it back, or resume=never."
        )
    callback = next(one for one in trainer.checkpoint_callbacks if isinstance(one, BestCheckpoint))
    known, found = Best(callback.best_model_score, callback.best_step), Best.of(read_resumable(file))
    if not known.same_as(found):
        log.warning(f"{file} is the epoch that ends at step {found.step}, not the best one, at step {known.step}")


class Best(NamedTuple):
    """The best epoch so far, as a checkpoint records it."""

    score: Tensor | None
    """Its validation accuracy; None before the first validation."""
    step: int | None
    """Optimiser steps that led to it; None where an earlier release wrote the checkpoint."""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Best":
        """Find it in the content of a checkpoint."""
        states = cast(Mapping[str, Mapping[str, Any]], content["callbacks"])
        found = next((state for key, state in states.items() if key.startswith(BestCheckpoint.__name__)), {})
        return cls(found.get(SCORE), found.get(STEP))

    def same_as(self, other: "Best") -> bool:
        """Whether two checkpoints mean the same epoch."""
        if self.score is None or other.score is None:
            return self.score is other.score
        return float(self.score) == float(other.score) and (None in (self.step, other.step) or self.step == other.step)
