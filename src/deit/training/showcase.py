"""What a run shows of its test images besides figures: who decides differently from whom, and some of the images."""

from typing import NamedTuple, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from deit.data.batches import EvalBatch
from deit.data.datamodule import KeyedData
from deit.evaluation.disagreement import disagreement, sample_positions
from deit.evaluation.heads import probabilities
from deit.training.modules import StudentModule

LABEL, TEACHER = "ground truth", "teacher"
HEADS = {"class": "class head", "distill": "distillation head", "fused": "both heads"}  # as Table 4 calls them
NUM_SAMPLES = 32  # of which half are the same in every run on the same data


class Table(NamedTuple):
    """A table of texts, numbers and pictures."""

    columns: list[str]
    rows: list[list[object]]


class Showcase(Callback):
    """Looks on while the test split is measured and makes tables of what is decided there.

    ``tables`` are then ``disagreement``, laid out as the paper's Table 4, in percent, and ``samples``. Every device
    makes the same ones. Asking the student once more for each batch costs what one validation does.
    """

    def __init__(self, data: KeyedData) -> None:
        self.data = data
        self.tables: dict[str, Table] = {}
        self._names: list[str] = []
        self._seen: list[tuple[Tensor, Tensor]] = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: EvalBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        module = cast(StudentModule, pl_module)
        decided = {LABEL: batch.labels}
        if module.decisions is not None:
            decided[TEACHER] = module.decisions.of(batch, "test")
        decided |= {name: held.argmax(dim=-1) for name, held in _answers(trainer, module, batch.images).items()}
        self._names = list(decided)
        self._seen.append((batch.indices, torch.stack(list(decided.values())).cpu()))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        indices, decisions = self._of_all_devices(trainer, pl_module.device)
        self.tables["disagreement"] = disagreement_table(self._names, disagreement(decisions))
        right = decisions[self._names.index(LABEL)] == decisions[-1]  # the last head is the one to compare by
        shown = indices[sample_positions(indices, right, count=NUM_SAMPLES)]
        self.tables["samples"] = self._samples(trainer, cast(StudentModule, pl_module), shown.tolist())

    def _of_all_devices(self, trainer: Trainer, device: torch.device) -> tuple[Tensor, Tensor]:
        """Indices (N,) of the images that any device has seen, and the decisions (D, N) on them."""
        split = self.data.dataset.test.indices
        all_decisions = torch.zeros(len(self._names), len(split), dtype=torch.int64)
        for indices, decided in self._seen:
            all_decisions[:, np.searchsorted(split, indices.numpy())] = decided + 1  # 0: not seen here
        together = cast(Tensor, trainer.strategy.reduce(all_decisions.to(device), reduce_op="sum")).cpu()
        is_seen = together[0] > 0
        return torch.from_numpy(split)[is_seen], together[:, is_seen] - 1

    def _samples(self, trainer: Trainer, module: StudentModule, indices: list[int]) -> Table:
        raw = self.data.test_images(indices)
        moved = self.data.transfer_batch_to_device(raw, module.device, 0)
        images = self.data.on_after_batch_transfer(moved, 0).images
        answers: dict[str, Tensor] = {}
        if module.teacher is not None:
            answers[TEACHER] = module.teacher.answer(images).softmax(dim=-1)
        answers |= _answers(trainer, module, images)
        return samples_table(raw, answers, self.data.dataset.classes)


def _answers(trainer: Trainer, module: StudentModule, images: Tensor) -> dict[str, Tensor]:
    """What each head holds probable, (B, K), computed as precisely as the run is."""
    with trainer.precision_plugin.forward_context():
        held = probabilities(*module.chosen(images), fusion=module.fusion)
    return {HEADS[name]: probability for name, probability in held.items()}


def disagreement_table(names: list[str], percentages: Tensor) -> Table:
    """(D, D) percentages, a row and a column for each of ``names``."""
    rows = [[name, *row] for name, row in zip(names, percentages.tolist(), strict=True)]
    return Table(["one, other", *names], cast(list[list[object]], rows))


def samples_table(raw: EvalBatch, answers: dict[str, Tensor], classes: tuple[str, ...]) -> Table:
    """A row for each image: what it is, and each answer's class with its probability in percent.

    Args:
        raw: Images as loaded, uint8, so that they look like themselves.
        answers: (B, K) probabilities by who answers; the last are what decides.
        classes: Names of the K classes.
    """
    columns = ["image", "index", LABEL, "right"]
    columns += [column for name in answers for column in (name, f"{name}, %")]
    highest = [answer.float().max(dim=-1) for answer in answers.values()]
    rows: list[list[object]] = []
    for i, (label, index) in enumerate(zip(raw.labels.tolist(), raw.indices.tolist(), strict=True)):
        row: list[object] = [_picture(raw.images[i]), index, classes[label], int(highest[-1].indices[i]) == label]
        for answer in highest:
            row += [classes[int(answer.indices[i])], 100 * float(answer.values[i])]
        rows.append(row)
    return Table(columns, rows)


def _picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
