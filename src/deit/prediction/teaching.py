"""The teacher whose answers stand beside the student's. Shapes: B batch, S side of a view, K classes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deit.config.errors import ConfigError
from deit.evaluation.heads import probabilities
from deit.models.trained import Trained, read_trained
from deit.prediction.request import OWN
from deit.training.teachers import obtain_again


@dataclass(frozen=True)
class Teaching:
    """Somebody who answers about the view that the student sees, as a teacher does in training."""

    classes: tuple[str, ...]
    answer: Callable[[Tensor], Tensor]
    """(B, 3, S, S) in [0, 1] to (B, K) probabilities."""


def find_teacher(teacher: str, student: Trained, device: torch.device) -> Teaching:
    """Whom ``teacher`` names: ``true`` is the one that the student's own run had.

    Raises:
        ConfigError: if there is none, or it cannot be read.
    """
    if teacher != OWN:
        return _named(read_trained(teacher, key="teacher"), device)
    if student.config is None:
        raise ConfigError(
            f"teacher=true is the teacher of a run, and {student.name} is of none; pass teacher=<a run, a file, an"
            " exported folder, or timm:<name>>"
        )
    data = student.config.data
    frozen = obtain_again(student.config, len(student.classes)).to(device)
    mean, std = (torch.tensor(list(values), device=device).view(3, 1, 1) for values in (data.mean, data.std))
    return Teaching(student.classes, lambda images: frozen.answer((images - mean) / std).softmax(dim=-1))


def _named(trained: Trained, device: torch.device) -> Teaching:
    network = trained.student.to(device)

    def answer(images: Tensor) -> Tensor:
        logits = network(images)
        heads = probabilities(logits.classes, logits.distill, trained.fusion)
        return heads.get("fused", heads["class"])

    return Teaching(trained.classes, answer)
