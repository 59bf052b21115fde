"""Where a run's teacher comes from: published weights, a file, or a fit on the same data that is kept and shared."""

import dataclasses
import fcntl
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from lightning.pytorch import seed_everything

from deit.config import compose
from deit.config.execution import Optim, OptimizerKind
from deit.config.material import Augment
from deit.config.schema import Config
from deit.config.teaching import TeacherSource
from deit.data.datamodule import KeyedData
from deit.data.sources import DataSet
from deit.models.teachers import FrozenTeacher, TeacherNetwork, build_teacher
from deit.models.weights import save_weights
from deit.training.modules import TeacherModule
from deit.training.trainer import plain_trainer

log = logging.getLogger(__name__)

FOLDER = Path("logs/teachers")
RECIPE = 1  # counts changes of how a teacher is fitted: an older file is then no longer found
PROBED_IMAGES = 16  # enough to tell two data sets of equal labels apart, few enough to cost nothing


def obtain(config: Config, dataset: DataSet) -> FrozenTeacher | None:
    """The teacher of a run, or None if nothing asks one.

    Raises:
        ConfigError: if its weights can't be had, or its head does not answer the data's classes.
    """
    if not config.uses_teacher:
        return None
    source = config.teacher_source
    if source is not TeacherSource.fit:
        return FrozenTeacher(_network(config, dataset, source), config.teacher.name)
    file = fitted_file(config, dataset)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _only_one_fits(file):
        if not file.is_file():
            _fit(config, dataset, file)
    log.info(f"teacher {config.teacher.name}: {file}")
    known = dataclasses.replace(config, teacher=dataclasses.replace(config.teacher, checkpoint=str(file)))
    return FrozenTeacher(_network(known, dataset, TeacherSource.checkpoint), config.teacher.name)


def fitted_file(config: Config, dataset: DataSet) -> Path:
    """Where a teacher fitted for this configuration is kept; the same for all that would fit the same one."""
    identity = {
        "recipe": RECIPE,
        "teacher": dataclasses.replace(config.teacher, source=TeacherSource.fit, checkpoint=None, num_classes=None),
        "scale": (config.scale.name, config.scale.shrink, config.scale.head_dim, config.scale.depth),
        "image_size": config.image_size,
        "augment": fit_augment(config),
        "data": (_identity(dataset), config.data.mean, config.data.std),
    }
    return FOLDER / f"{config.data.name}-{config.teacher.name}-{compose.digest(identity)[:12]}.safetensors"


def fit_augment(config: Config) -> Augment:
    """How images are augmented while a teacher is fitted: mixed like the student's, so that it can answer those."""
    return Augment(
        name="teacher",
        crop=config.scale.crop,
        flip=config.data.flip,
        mixup=0.8,  # the student's strengths, every other time
        cutmix=1.0,
        mix_probability=0.5,
        smoothing=0.1,
    )


def _identity(dataset: DataSet) -> str:
    """A hash of what is trained on: classes, labels, which images, and the pixels of a few."""
    train = dataset.train
    digest = hashlib.sha256(repr(dataset.classes).encode())
    digest.update(np.ascontiguousarray(train.indices).tobytes())
    digest.update(np.ascontiguousarray(train.labels).tobytes())
    for position in np.linspace(0, len(train) - 1, PROBED_IMAGES).astype(int):
        digest.update(train.source.image(int(train.indices[position])).tobytes())
    return digest.hexdigest()


def _network(config: Config, dataset: DataSet, source: TeacherSource) -> TeacherNetwork:
    return build_teacher(
        config.teacher,
        config.scale,
        image_size=config.image_size,
        num_classes=len(dataset.classes),
        mean=config.data.mean,
        std=config.data.std,
        source=source,
    )


def _fit(config: Config, dataset: DataSet, file: Path) -> None:
    """Train the teacher on the data of the run and keep its weights in ``file``."""
    fit = config.teacher.fit
    optim = Optim(
        kind=OptimizerKind.adamw,
        lr=fit.lr,
        batch_size=fit.batch_size,
        epochs=fit.epochs,
        warmup_epochs=fit.epochs // 10,  # long enough for AdamW's moments, short beside the training
        weight_decay=fit.weight_decay,
    )
    log.info(
        f"fitting teacher {config.teacher.name} on {len(dataset.train)} images for {fit.epochs} epochs;"
        f" later runs will find it in {file}"
    )
    seed_everything(fit.seed, verbose=False)
    module = TeacherModule(_network(config, dataset, TeacherSource.fit), optim, seed=fit.seed)
    augment = fit_augment(config)
    inputs = module.network.preprocess.inputs
    size = inputs.image_size or config.image_size
    data = KeyedData(dataset, config.data, augment, image_size=size, batch_size=fit.batch_size, seed=fit.seed)
    trainer = plain_trainer(config.trainer, epochs=fit.epochs, what=f"teacher {config.teacher.name}")
    began = time.perf_counter()
    trainer.fit(module, data)
    accuracy = float(trainer.callback_metrics["val/acc1"])
    log.info(f"teacher fitted in {time.perf_counter() - began:.0f} s: {accuracy:.2f} % on validation")
    save_weights(
        file,
        module.network.net.state_dict(),
        {
            "name": config.teacher.name,
            "num_classes": str(len(dataset.classes)),
            **inputs.metadata(),
            "val_acc1": f"{accuracy:.4f}",
        },
    )


@contextmanager
def _only_one_fits(file: Path) -> Iterator[None]:
    """Hold the lock of ``file``; it dies with the process that holds it."""
    with file.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info(f"waiting for another run that is fitting the same teacher, {file}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
