"""What the teacher decides on evaluation images: asked once, remembered for every later epoch."""

import itertools
import logging

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from deit.config.errors import ConfigError
from deit.data.batches import EvalBatch
from deit.data.datamodule import KeyedData
from deit.evaluation import metrics
from deit.models.teachers import FrozenTeacher

log = logging.getLogger(__name__)


class TeacherDecisions:
    """A teacher's decisions by split and image. No nn.Module: it stays out of checkpoints and EMA copies."""

    def __init__(self, teacher: FrozenTeacher) -> None:
        self.teacher = teacher
        self.known: dict[tuple[str, int], int] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> "TeacherDecisions":
        return self

    def of(self, batch: EvalBatch, split: str) -> Tensor:
        """The teacher's classes for a batch of evaluation images: (B,) int64."""
        keys = [(split, index) for index in batch.indices.tolist()]
        if not all(key in self.known for key in keys):
            answered = self.teacher.answer(batch.images).argmax(dim=-1).tolist()
            self.known.update(zip(keys, answered, strict=True))
        return torch.tensor([self.known[key] for key in keys], dtype=torch.int64, device=batch.images.device)


def measured(
    decisions: TeacherDecisions, data: KeyedData, device: torch.device, *, limit: int | None = None
) -> tuple[float, int]:
    """Percentages summed over this device's validation images, 100 for each that is right, and how many there are.

    limit: batches; None: all.
    """
    right, total = 0.0, 0
    for loaded in itertools.islice(data.val_dataloader(), limit):
        batch = data.on_after_batch_transfer(data.transfer_batch_to_device(loaded, device, 0), 0)
        assert isinstance(batch, EvalBatch)
        right += float(metrics.correct_decisions(decisions.of(batch, "val"), batch.labels).sum())
        total += len(batch.labels)
    return right, total


def knows_nothing(teacher: str, data: KeyedData, accuracy: float, guess: float) -> str:
    """What to say of a teacher that is no better than always naming the most frequent class."""
    return (
        f"teacher {teacher} is right on {accuracy:.2f} % of the validation images, no better than chance"
        f" ({guess:.2f} %): its classes are not those of data={data.data.name}, or it never learnt; pass"
        " teacher.source=fit, teacher.checkpoint=<file of a teacher for these data>, or distill=none"
    )


class TeacherCheck(Callback):
    """Measures the teacher on the validation split before the first step, and stops the run if it knows nothing."""

    def __init__(self, decisions: TeacherDecisions, data: KeyedData, *, limit: int | None = None) -> None:
        self.decisions, self.data, self.limit = decisions, data, limit

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the teacher about every validation image.

        Raises:
            ConfigError: if it is no better than always naming the most frequent class.
        """
        right, total = measured(self.decisions, self.data, pl_module.device, limit=self.limit)
        sums = trainer.strategy.reduce(torch.tensor([right, total], device=pl_module.device), reduce_op="sum")
        accuracy = float(sums[0]) / float(sums[1])  # in float64, like chance: rounding lets none through
        guess = metrics.chance(torch.from_numpy(self.data.dataset.val.labels), self.data.num_classes)
        log.info(
            f"teacher {self.decisions.teacher.label}: {accuracy:.2f} % of the validation images (chance: {guess:.2f} %)"
        )
        if accuracy <= guess:
            raise ConfigError(knows_nothing(self.decisions.teacher.label, self.data, accuracy, guess))
