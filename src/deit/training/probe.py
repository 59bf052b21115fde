"""Speed of the parts of a run on this machine, measured on a few images.

All times are seconds an image. The teacher is timed with random weights: its speed does not depend on them.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deit.config.schema import Config
from deit.data.batches import TrainBatch, TrainViews
from deit.data.datamodule import KeyedData
from deit.data.keys import Key
from deit.data.pixels import warps
from deit.distillation import losses
from deit.evaluation.throughput import repeated
from deit.models.students import Heads, Student
from deit.training import optimizer

# Pixels of a batch: enough to be typical of the device, few enough for seconds and for any memory.
PIXELS = {"cpu": 4 * 224 * 224, "cuda": 32 * 224 * 224}
ENOUGH = 2.0  # seconds after which a part is known well enough for a plan
DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Probe:
    """Measured seconds per image."""

    device: str
    load: float
    """Reading, decoding and augmenting, on one core."""
    step: float
    """The student's forward and backward pass and its share of an optimiser step."""
    teacher: float
    """The teacher's forward pass; 0 without a teacher."""
    evaluate: float
    """The student's forward pass alone."""

    def training(self, workers: int) -> float:
        """Return the seconds per view with this many data loader workers, which load while the device computes."""
        compute = self.step + self.teacher
        return max(compute, self.load / workers) if workers else compute + self.load


def measure(config: Config, data: KeyedData, student: Student, teacher: nn.Module | None) -> Probe:
    """Time the parts of ``config``'s steps on its kind of device: on the GPU where it may use one and there is one."""
    device = device_of(config)
    size = batch_size(config, PIXELS[device])
    load, batch = _views(data, device, size)
    student.to(device).train()
    chosen, _ = optimizer.build(student, config.optim, steps_per_epoch=1)

    def step() -> None:
        with precision(config, device):
            answer: Heads = student(batch.images)
        _loss(config, answer, batch).backward()
        chosen.step()
        chosen.zero_grad()

    def answer_of(network: nn.Module) -> Callable[[], None]:
        def answer() -> None:
            with torch.no_grad(), precision(config, device):
                network(batch.images)

        return answer

    taught = 0.0 if teacher is None else _seconds(answer_of(teacher.to(device).eval()), device, size)
    trained = _seconds(step, device, size)
    return Probe(device, load, trained, taught, _seconds(answer_of(student.eval()), device, size))


def batch_size(config: Config, pixels: int) -> int:
    """Return the size of the batch that is measured: at most the device's share, at most ``pixels`` in all.

    It is even where images are mixed, because they are mixed in pairs.
    """
    per_device = config.optim.batch_size // config.trainer.world_size // config.trainer.accumulate
    unit = 2 if config.augment.mixes else 1
    return max(unit, min(per_device, pixels // config.image_size**2) // unit * unit)


def device_of(config: Config) -> str:
    """Return the kind of device that a run of ``config`` computes on here."""
    return "cuda" if config.trainer.accelerator != "cpu" and torch.cuda.is_available() else "cpu"


def _views(data: KeyedData, device: str, size: int) -> tuple[float, TrainBatch]:
    """Return the seconds that it takes to render a view, and a batch of ``size`` views.

    The batch is rendered first: libraries are loaded and loops are compiled before the clock runs.
    """
    if warps.kernels is not None:
        warps.kernels.warm_up()
    views = data.train_dataloader().dataset
    assert isinstance(views, TrainViews)
    keys = itertools.cycle([Key(0, int(index)) for index in data.dataset.train.indices])
    raw = views.__getitems__([next(keys) for _ in range(size)])
    batch = data.on_after_batch_transfer(data.transfer_batch_to_device(raw, torch.device(device), 0), 0)
    assert isinstance(batch, TrainBatch)
    return _seconds(lambda: views.rendered(next(keys)), device, 1), batch


def precision(config: Config, device: str) -> torch.autocast:
    """Return the context of ``trainer.precision`` for a forward pass outside a trainer."""
    name = config.trainer.precision
    return torch.autocast(device, DTYPES.get(name), enabled=name in DTYPES)


def _loss(config: Config, answer: Heads, batch: TrainBatch) -> Tensor:
    """Return the loss of every head against the labels, which is as much work as any other loss."""
    heads = [logits for logits in answer if logits is not None]
    return torch.stack([losses.label_loss(logits, batch.targets, config.optim.loss) for logits in heads]).mean()


def _seconds(work: Callable[[], object], device: str, images: int) -> float:
    """Return the seconds per image of ``work``, which processes ``images`` per call; the first call warms up."""
    work()
    return repeated(work, device, seconds=ENOUGH).wall / images
