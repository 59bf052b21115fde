"""Images through networks, over any number of devices, each image once.

Whole batches are dealt to the devices, so that no figure depends on their number, not in its last digit either.
Shapes: N images of a split, B batch, C columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, distributed

from deit.assessment.request import Settings
from deit.assessment.sets import ImageSet
from deit.assessment.subjects import Subject, taking_normalised
from deit.config.errors import RunError
from deit.data.batches import EvalBatch, EvalImages
from deit.data.datamodule import loader
from deit.data.finishing import normalised
from deit.data.progress import watched
from deit.data.sources import Split
from deit.data.unreadable import Skipped
from deit.data.views import EvalView
from deit.evaluation.answers import HeadAnswers, answer_rows, from_rows
from deit.evaluation.heads import head_names
from deit.evaluation.tokens import token_cosines
from deit.models.students import Heads

SAMPLE = 1000  # images for the tokens: a mean of cosines, which differ little, is known to three digits by then


@dataclass(frozen=True)
class Answers:
    """What a network says of the images of a set that it has seen."""

    seen: NDArray[np.int64]
    """(n,) positions in the split, ascending."""
    heads: dict[str, HeadAnswers]
    """By the names of `evaluation.heads.head_names`, n images each."""


class Measure:
    """Asks one network about images.

    Args:
        fabric: The devices, which are at work already.
        subject: The network.
        settings: How images are read and computed with.
        batch_size: B, on one device.
    """

    def __init__(self, fabric: Fabric, subject: Subject, settings: Settings, *, batch_size: int) -> None:
        self.fabric, self.subject, self.batch_size = fabric, subject, batch_size
        self.trainer = settings.trainer
        inputs = subject.trained.inputs
        self.data = replace(settings.data, mean=list(inputs.mean), std=list(inputs.std))
        self.crop = subject.trained.crop if settings.crop is None else settings.crop
        self.student = taking_normalised(subject.trained).to(fabric.device)
        if self.trainer.channels_last:
            self.student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - the stub forgets it

    def answers(self, images: ImageSet) -> Answers:
        """What every head says of the images.

        Raises:
            RunError: for images that cannot be read, unless these are to be left out.
        """
        among = None if images.among is None else torch.tensor(images.among, device=self.fabric.device)

        def rows(batch: EvalBatch) -> Tensor:
            answer: Heads = self.student(batch.images)
            return answer_rows(answer.classes, answer.distill, batch.labels, among)

        seen, table = self._over(images.split, images.classes, rows, f"{self.subject.name} on {images.name}")
        names = head_names(self.student.two_heads)[1:]
        return Answers(seen, dict(from_rows(table, names)))

    def token_cosine(self, images: ImageSet) -> list[float]:
        """How alike the two tokens are, layer by layer: the mean over at most `SAMPLE` images; of one token
        nothing."""
        if not self.student.two_heads:
            return []
        net, split = self.student.net, images.split
        sample = Split(split.source, split.indices[:: -(-len(split) // SAMPLE)])

        def rows(batch: EvalBatch) -> Tensor:
            return token_cosines(net, batch.images).T.double()  # pyright: ignore[reportArgumentType] - it has two tokens

        _, table = self._over(sample, images.classes, rows, f"tokens of {self.subject.name}")
        return table.mean(axis=0).tolist()

    def _over(
        self, split: Split, classes: Sequence[str], rows: Callable[[EvalBatch], Tensor], what: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n,) positions in the split of the images that could be read, and their (n, C) rows."""
        fabric = self.fabric
        cut = range(0, len(split), self.batch_size)
        batches = [split.indices[start : start + self.batch_size].tolist() for start in cut]
        mine = batches[fabric.global_rank :: fabric.world_size][: self.trainer.limit_batches]
        view = EvalView(self.data, image_size=self.subject.trained.image_size, crop=self.crop)
        skipped = Skipped(self.data, classes)
        loaded = loader(EvalImages(split.source, view), mine, self.data.workers)
        is_shown = self.trainer.progress and fabric.is_global_zero
        positions: list[Tensor] = []
        found: list[Tensor] = []
        error: RunError | None = None
        try:
            for raw in watched(f"{what}, batches", loaded, len(mine), is_shown=is_shown):
                skipped.hear(raw.faults)
                if len(raw.images):
                    positions.append(raw.indices)
                    found.append(self._computed(raw, rows))
        except RunError as fault:
            error = fault
        self._refuse_together(error)
        return self._gathered(split, positions, found)

    @torch.inference_mode()
    def _computed(self, raw: EvalBatch, rows: Callable[[EvalBatch], Tensor]) -> Tensor:
        device = self.fabric.device
        images = normalised(raw.images.to(device, non_blocking=True), self.data)
        if self.trainer.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self.fabric.autocast():
            return rows(raw._replace(images=images, labels=raw.labels.to(device)))

    def _refuse_together(self, error: RunError | None) -> None:
        """Raise what any device has met: the others would wait for its share of the images."""
        errors: list[RunError | None] = [error]
        if self.fabric.world_size > 1:
            errors = [None] * self.fabric.world_size
            distributed.all_gather_object(errors, error)  # pyright: ignore[reportArgumentType] - a list of either
        if (first := next(filter(None, errors), None)) is not None:
            raise first

    def _gathered(
        self, split: Split, positions: list[Tensor], found: list[Tensor]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        device = self.fabric.device
        width = torch.tensor(found[0].shape[1] if found else 0, device=device)
        columns = int(self.fabric.all_reduce(width, reduce_op="max"))  # pyright: ignore[reportArgumentType] - a tensor
        table = torch.full((len(split), columns), -torch.inf, dtype=torch.float64, device=device)
        if found:
            places = np.searchsorted(split.indices, torch.cat(positions).numpy())
            table[torch.from_numpy(places).to(device)] = torch.cat(found)
        # Nothing is below -inf: what another device has not seen changes nothing.
        whole = self.fabric.all_reduce(table, reduce_op="max").cpu().numpy()  # pyright: ignore - a tensor comes back
        seen = np.flatnonzero((whole > -np.inf).all(axis=1)) if columns else np.empty(0, dtype=np.int64)
        if not len(seen):
            raise RunError("no image could be read; nothing is measured")
        return seen, whole[seen]
