"""What a run shows of its test images besides figures: who decides differently from whom, and some of the images."""

from typing import NamedTuple, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from deit.config.teaching import Fusion
from deit.data.batches import EvalBatch
from deit.data.datamodule import KeyedData
from deit.evaluation.disagreement import disagreement, sample_positions
from deit.evaluation.heads import probabilities
from deit.training.modules import StudentModule

LABEL, TEACHER = "ground truth", "teacher"
HEADS = {"class": "class head", "distill": "distillation head", "fused": "both heads"}  # as Table 4 calls them
SHOWN_AS = {"label": LABEL, "teacher": TEACHER, **HEADS, "fused_logits": HEADS["fused"]}
NUM_SAMPLES = 32  # of which half are the same in every run on the same data


class Table(NamedTuple):
    """A table of texts, numbers and pictures."""

    columns: list[str]
    rows: list[list[object]]


class Showcase(Callback):
    """Makes tables of what was decided on the test split, when it is measured.

    ``tables`` are then ``disagreement``, laid out as the paper's Table 4, in percent, and ``samples``. Every device
    makes the same ones.
    """

    def __init__(self, data: KeyedData) -> None:
        self.data = data
        self.tables: dict[str, Table] = {}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast(StudentModule, pl_module)
        decided = module.gathered_predictions(len(self.data.dataset.test.source))
        other_fusion = "fused_logits" if module.fusion is Fusion.softmax else "fused"
        shown = [name for name in SHOWN_AS if name in decided and name != other_fusion]
        decisions = torch.from_numpy(np.stack([decided[name] for name in shown]).astype(np.int64))
        names = [SHOWN_AS[name] for name in shown]
        self.tables["disagreement"] = disagreement_table(names, disagreement(decisions))
        right = decisions[shown.index("label")] == decisions[-1]  # the last head is the one to compare by
        indices = torch.from_numpy(decided["index"])
        chosen = indices[sample_positions(indices, right, count=NUM_SAMPLES)]
        self.tables["samples"] = self._samples(trainer, module, chosen.tolist())

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
