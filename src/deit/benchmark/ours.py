"""Our training as a run does it, on one batch that is always the same: no time goes into loading."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from deit.config.schema import Config
from deit.config.teaching import BankMode, Method
from deit.data.batches import EvalBatch, RawBatch
from deit.data.datamodule import KeyedData
from deit.data.sources import DataSet
from deit.distillation.bank import Bank
from deit.distillation.targets import BankTargets
from deit.evaluation.throughput import Spent, now
from deit.models.teachers import FrozenTeacher
from deit.training import probe, teachers
from deit.training.csvlog import MetricsFile
from deit.training.folder import RunFolder
from deit.training.modules import DistillationModule, StudentModule
from deit.training.preemption import watched
from deit.training.run import build_module, initial_student, keyed_data
from deit.training.trainer import run_trainer

# Pixels of a batch, where only the scale says how large it is: enough to keep a device busy, few enough for seconds.
PIXELS = {"cpu": 16 * 224 * 224, "cuda": 256 * 224 * 224}
LIVE, REPLAYED = "ours, live teacher", "ours, teacher from a bank"
OFFICIAL_EMA = 0.99996
VALIDATED = 2  # images; an epoch must end with a validation, of which nothing is measured


def one_device(config: Config) -> Config:
    """``config`` for an epoch of steps on a single device, with a batch that suits it and no bank."""
    trainer = replace(
        config.trainer, strategy="auto", devices=1, num_nodes=1, accumulate=1, limit_batches=None, progress=False
    )
    size = config.optim.batch_size // config.trainer.world_size // config.trainer.accumulate
    if config.optim.batch_size == config.scale.batch_size:  # what the user set stays
        size = min(size, PIXELS[probe.device_of(config)] // config.image_size**2)
    optim = replace(config.optim, batch_size=max(2, size // 2 * 2), epochs=1, warmup_epochs=0)  # mixing is by pairs
    return replace(
        config,
        trainer=trainer,
        optim=optim,
        data=replace(config.data, workers=0),
        distill=replace(config.distill, bank=BankMode.off, compare=False),
    )


def averaged_too(config: Config) -> Config:
    """The same with a moving average of the weights, which the official code keeps by default."""
    return replace(config, optim=replace(config.optim, ema=config.optim.ema or OFFICIAL_EMA))


def untaught(config: Config) -> Config:
    """The same student without a teacher and without a token, as in the official code."""
    distill = replace(config.distill, method=Method.none, token=False)
    return replace(config, distill=distill)


class FixedBatch(KeyedData):
    """The data module of a run whose epoch is one batch, over and over."""

    def __init__(self, config: Config, dataset: DataSet) -> None:
        like = keyed_data(config, dataset)
        super().__init__(
            dataset, like.data, like.augment, image_size=like.image_size, batch_size=like.batch_size, seed=like.seed
        )
        self.raw: RawBatch = next(iter(super().train_dataloader()))
        self.validated = EvalBatch(*(part[:VALIDATED] for part in next(iter(super().val_dataloader()))))
        self.steps = 1

    @property
    def num_train_batches(self) -> int:
        return self.steps

    def train_dataloader(self) -> DataLoader:
        return DataLoader([self.raw] * self.steps, batch_size=None)  # pyright: ignore[reportArgumentType]

    def val_dataloader(self) -> DataLoader:
        return DataLoader([self.validated], batch_size=None)  # pyright: ignore[reportArgumentType]


class TrainerSteps:
    """Steps under the Trainer of a run, its callbacks included, timed from the end of the first one on."""

    def __init__(self, config: Config, module: StudentModule, data: FixedBatch) -> None:
        self.config, self.module, self.data = config, module, data
        self._known: float | None = None

    def measure(self, seconds: float) -> Spent:
        """What a step takes; at least two are timed."""
        steps = 2 if self._known is None else max(2, round(seconds / self._known))
        clock = _StepClock(steps)
        self.data.steps = 1 + steps
        with tempfile.TemporaryDirectory() as name, _without_lines():
            folder = Path(name)
            run = RunFolder(folder, self.config, [])
            with watched() as signals:
                trainer = run_trainer(self.config, run, [MetricsFile(folder / "metrics.csv")], [clock], signals)
                trainer.fit(self.module, self.data)
        assert clock.ended is not None
        spent = clock.ended.since(clock.began).per(steps)
        self._known = spent.wall
        return spent


class _StepClock(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.began = Spent(0, 0)
        self.ended: Spent | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.began = now(pl_module.device.type)
        elif batch_idx == self.steps:
            self.ended = now(pl_module.device.type)


@contextmanager
def _without_lines() -> Iterator[None]:
    """Nothing is said about an epoch that is none."""
    lines = logging.getLogger("deit.training.progress")
    before = lines.level
    lines.setLevel(logging.WARNING)
    try:
        yield
    finally:
        lines.setLevel(before)


def taught(config: Config, dataset: DataSet, data: FixedBatch, folder: Path) -> dict[str, StudentModule]:
    """The student distilled by a live teacher, and by a bank in ``folder`` that knows all of the batch.

    The teacher has random weights, with which it is as fast as with its own.
    """
    network = teachers.untrained(config, num_classes=data.num_classes)
    teacher = FrozenTeacher(network, config.teacher.name)
    live, replayed = (build_module(config, dataset, initial_student(config, dataset), teacher) for _ in range(2))
    assert isinstance(replayed, DistillationModule)
    bank = answers(config, data, folder)
    replayed.targets = BankTargets(bank, teacher, BankMode.replay)
    return {LIVE: live, REPLAYED: replayed}


def answers(config: Config, data: FixedBatch, folder: Path) -> Bank:
    """A bank in ``folder`` with random answers to the views of the batch."""
    top = config.distill.bank_logits if config.distill.method is Method.soft else 0
    bank = Bank(folder, {}, num_images=len(data.dataset.train.source), num_classes=data.num_classes, top=top)
    bank.write(data.raw.views, data.raw.indices, torch.randn(len(data.raw.labels), data.num_classes))
    bank.commit()
    return bank
