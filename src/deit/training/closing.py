"""What a run measures once more than accuracies, at its end: decisions, throughput, how alike its tokens are."""

import io
import itertools
import logging
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from numpy.typing import NDArray
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor

from deit.config.schema import Config
from deit.config.sealed import write_listed
from deit.data.batches import EvalBatch
from deit.data.datamodule import KeyedData
from deit.evaluation import heads
from deit.evaluation.baselines import majority_accuracy, spread, wilson_interval
from deit.evaluation.throughput import device_name, throughput
from deit.evaluation.tokens import token_cosines
from deit.models.students import Student
from deit.training.folder import RunFolder, is_rank_zero
from deit.training.modules import StudentModule

log = logging.getLogger(__name__)

PREDICTIONS = "predictions.npz"
SAMPLE = 1000  # test images for the tokens: a mean of cosines, which differ little, is known to three digits by then


def test_facts(classes: Mapping[str, NDArray[np.integer]], chosen: str) -> dict[str, object]:
    """Return what the accuracies on the test split are to be read beside, for run.json.

    Args:
        classes: (n,) ``label``, and the class that each head, and the teacher if there is one, decided for.
        chosen: The head that the run is judged by.
    """
    labels = classes["label"]
    right = {
        name: int((decided == labels).sum()) for name, decided in classes.items() if name not in ("index", "label")
    }
    found = spread(labels, classes[chosen])
    return {
        "images": len(labels),
        "majority_acc1": majority_accuracy(labels),
        "acc1_interval": {name: list(wilson_interval(count, len(labels))) for name, count in right.items()},
        "classes_with_images": found.present,
        "classes_predicted": found.predicted,
        "collapsed": found.is_collapsed,
    }


class Closing(Callback):
    """Measures when the test is over: devices, precision and the weights of the best epoch are still in place.

    Predictions go into a file of the run's folder, the figures into ``timing`` and ``facts`` for its run.json.
    """

    def __init__(self, config: Config, run: RunFolder, data: KeyedData) -> None:
        self.config, self.run, self.data = config, run, data
        self.timing: dict[str, float] = {}
        self.facts: dict[str, object] = {}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast(StudentModule, pl_module)
        self._keep_predictions(module)
        if isinstance(trainer.strategy, FSDPStrategy):
            log.info("trainer=fsdp: throughput and tokens are not measured, no device has the whole network")
            return
        student = module.chosen
        if isinstance(student.net, VisionTransformerDistilled):
            self.facts["token_cosine"] = self._token_cosine(trainer, student, module.device)
        if is_rank_zero():
            self._measure_throughput(trainer, student, module.device)

    def _keep_predictions(self, module: StudentModule) -> None:
        classes = module.gathered_predictions(len(self.data.dataset.test.source))
        if is_rank_zero():
            if len(classes["label"]):
                self.facts["test"] = test_facts(classes, heads.chosen_head(module.student.two_heads, module.fusion))
            file = io.BytesIO()
            np.savez_compressed(file, **classes)  # pyright: ignore[reportArgumentType] - no name is allow_pickle
            write_listed(self.run.path / PREDICTIONS, file.getvalue())

    def _token_cosine(self, trainer: Trainer, student: Student, device: torch.device) -> list[float]:
        """Mean over a sample of the test images, layer by layer; each device takes its share of them."""
        net = cast(VisionTransformerDistilled, student.net)
        sums = torch.zeros(len(net.blocks) + 2, device=device)  # the learnt tokens, every block, and how many images
        for loaded in itertools.islice(self.data.test_sample(SAMPLE), self.config.trainer.limit_batches):
            moved = self.data.transfer_batch_to_device(loaded, device, 0)
            batch = self.data.on_after_batch_transfer(moved, 0)
            assert isinstance(batch, EvalBatch)
            with trainer.precision_plugin.forward_context():
                cosines = token_cosines(net, student.preprocess(batch.images))
            sums += torch.cat([cosines.sum(dim=1), sums.new_tensor([len(batch.images)])])
        *totals, count = cast(Tensor, trainer.strategy.reduce(sums, reduce_op="sum")).tolist()
        return [total / count for total in totals]

    def _measure_throughput(self, trainer: Trainer, student: Student, device: torch.device) -> None:
        side = self.config.image_size

        def forward(size: int) -> Callable[[], object]:
            images = torch.rand(size, 3, side, side, device=device)
            if self.config.trainer.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)

            def work() -> object:
                with trainer.precision_plugin.forward_context():
                    # Past torch.compile, which would take minutes for a batch that it has not met.
                    return student.forward(images)

            return work

        speed, batch = throughput(forward, device.type, pixels=side**2)
        self.timing |= {"inference_images_per_s": speed, "inference_batch": batch}
        known = cast(dict[str, str], self.run.record["environment"])
        self.facts["environment"] = known | {"device": device_name(device.type)}
