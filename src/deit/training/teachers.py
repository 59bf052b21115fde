"""Where a run's teacher comes from: published weights, a file, or a training on the same data, kept and shared."""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from lightning.pytorch import seed_everything

from deit.config import compose
from deit.config.errors import ConfigError
from deit.config.material import Augment, Data, OnError
from deit.config.schema import Config
from deit.config.teacher_names import teacher_label, teacher_slug
from deit.config.teaching import Teacher, TeacherSource
from deit.data.locking import only_one
from deit.data.sources import DataSet, ImageError, open_dataset
from deit.data.unreadable import refusal
from deit.models.networks import card
from deit.models.published import published_weights
from deit.models.teachers import Ensemble, FrozenTeacher, TeacherNetwork, build_teacher, has_nano_form
from deit.training import teacher_fit
from deit.training.preemption import Signals, watched

log = logging.getLogger(__name__)

FOLDER = Path("logs/teachers")
RECIPE = 1  # counts changes of how a teacher is fitted: an older file is then no longer found
PROBED_IMAGES = 16  # enough to tell two data sets of equal labels apart, few enough to cost nothing


def obtain(config: Config, dataset: DataSet, signals: Signals | None = None) -> FrozenTeacher | None:
    """The teacher of a run, or None if nothing asks one.

    signals: those that may end the run; None: they are answered while a teacher is fitted.

    Raises:
        ConfigError: if its weights can't be had, or its head does not answer the data's classes.
        Preempted: if a signal arrives while it is fitted; what was fitted is kept.
    """
    if not config.uses_teacher:
        return None
    with nullcontext(signals) if signals is not None else watched() as heeded:
        ready = [_weighted(member, dataset, heeded) for member in members(config)]
    return _frozen(config, ready, len(dataset.classes))


def obtain_again(config: Config, num_classes: int) -> FrozenTeacher:
    """The teacher that a run had, which is not fitted anew; num_classes: of the run's data.

    Raises:
        ConfigError: if it had none, or its weights, or the data by which they are found, are not there any more.
    """
    if not config.uses_teacher or config.teacher_source is TeacherSource.random:
        had = "random weights for a teacher" if config.uses_teacher else "no teacher"
        raise ConfigError(f"the run had {had}; pass teacher=<a run, a file, an exported folder, or timm:<name>>")
    ready = members(config)
    if config.fits_teacher:
        dataset = open_dataset(config.data)
        ready = [_fitted(member, fitted_file(member, dataset)) for member in ready]
        if missing := [
            member.teacher.checkpoint for member in ready if not Path(str(member.teacher.checkpoint)).is_file()
        ]:
            raise ConfigError(
                f"the run's teacher is not at {', '.join(map(str, missing))} any more; start from the folder that has"
                " logs/, or pass teacher=<its file>"
            )
    return _frozen(config, ready, num_classes)


def _frozen(config: Config, ready: Sequence[Config], num_classes: int) -> FrozenTeacher:
    """The networks of configurations whose teachers have weights, as one that answers; config: what was asked for."""
    networks = [_network(member, num_classes) for member in ready]
    network = networks[0] if len(networks) == 1 else Ensemble(networks)
    names = (member.teacher.name for member in ready)
    return FrozenTeacher(network, "+".join(names), label=label(config), slug=slug(config))


def label(config: Config) -> str:
    """Return what to call the teacher of ``config``, as `teacher_names.teacher_label` does."""
    return " + ".join(
        teacher_label(
            one.teacher.name,
            one.teacher_source,
            is_nano=_is_nano(one),
            data=one.data.label,
            file=one.teacher.checkpoint,
        )
        for one in members(config)
    )


def slug(config: Config) -> str:
    """Return the same for names of files, as `teacher_names.teacher_slug` does."""
    names = (teacher_slug(one.teacher.name, one.teacher_source, is_nano=_is_nano(one)) for one in members(config))
    return "+".join(names)


def _is_nano(config: Config) -> bool:
    published = config.teacher_source in (TeacherSource.pretrained, TeacherSource.finetune)
    return config.scale.shrink > 1 and not published and has_nano_form(config.teacher.name)


def members(config: Config) -> list[Config]:
    """The configuration of each network that teaches: ``config`` itself, or one a member of an ensemble."""
    teacher = config.teacher
    if not teacher.is_ensemble:
        return [config]
    files = teacher.checkpoints or [None] * len(teacher.members)
    alone = dataclasses.replace(teacher, members=[], checkpoints=[])
    return [
        dataclasses.replace(config, teacher=dataclasses.replace(alone, name=name, checkpoint=file))
        for name, file in zip(teacher.members, files, strict=True)
    ]


def fetch(config: Config, num_classes: int) -> None:
    """Download the published weights of one teacher, if it starts from them and they predict the data's classes.

    Raises:
        ConfigError: if they cannot be had.
    """
    name, source = config.teacher.name, config.teacher_source
    if source is TeacherSource.finetune:
        published_weights(name, card(name, "teacher.name"), None)
    elif source is TeacherSource.pretrained and (record := card(name, "teacher.name")).num_classes == num_classes:
        published_weights(name, record, "teacher.checkpoint")


def untrained(config: Config, *, num_classes: int) -> TeacherNetwork | Ensemble:
    """The teacher of ``config`` with random weights: its form, its size, its speed."""
    randomly = [
        dataclasses.replace(member, teacher=dataclasses.replace(member.teacher, source=TeacherSource.random))
        for member in members(config)
    ]
    networks = [_network(member, num_classes) for member in randomly]
    return networks[0] if len(networks) == 1 else Ensemble(networks)


def _weighted(config: Config, dataset: DataSet, signals: Signals) -> Config:
    """``config`` with a teacher whose weights can be had: one to be fitted is fitted, or found where it was before."""
    if not config.fits_teacher:
        return config
    file = fitted_file(config, dataset)
    if not file.is_file():  # one that is there needs no lock: its folder may be another's, or only be read
        with only_one(file.with_suffix(".lock"), f"fitting the same teacher, {file}"):
            if not file.is_file():
                seed_everything(config.teacher.fit.seed, verbose=False)
                network = _network(config, len(dataset.classes))
                metadata = {"name": config.teacher.name, "label": label(config)}
                teacher_fit.fit(config, dataset, network, fit_augment(config), file, metadata, signals)
    log.info(f"teacher {label(config)}: {file}")
    return _fitted(config, file)


def _fitted(config: Config, file: Path) -> Config:
    """``config`` with the teacher that lies in ``file``."""
    fitted = dataclasses.replace(config.teacher, source=TeacherSource.checkpoint, checkpoint=str(file))
    return dataclasses.replace(config, teacher=fitted)


def fitted_file(config: Config, dataset: DataSet) -> Path:
    """Where a teacher fitted for this configuration is kept; the same for all that would fit the same one."""
    identity = {
        "recipe": RECIPE,
        "teacher": _fitted_as(config),
        "scale": (config.scale.name, config.scale.shrink, config.scale.head_dim, config.scale.depth),
        "image_size": config.image_size,
        "augment": fit_augment(config),
        "data": (data_identity(dataset, config.data), config.data.mean, config.data.std),
    }
    digest = compose.digest(identity)[:12]
    file = FOLDER / f"{config.data.name}-{slug(config)}-{digest}.safetensors"
    before = FOLDER / f"{config.data.name}-{config.teacher.name}-{digest}.safetensors"  # files had the published name
    return before if before.is_file() and not file.is_file() else file


def _fitted_as(config: Config) -> Teacher:
    """The teacher without what makes no difference to how it is fitted; published weights go by their name."""
    source = config.teacher_source
    return dataclasses.replace(config.teacher, source=source, checkpoint=None, num_classes=None, same_size=False)


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


def data_identity(dataset: DataSet, data: Data) -> str:
    """A hash of what is trained on: classes, labels, which images, whether upright, and the pixels of a few.

    Raises:
        RunError: if one of these cannot be read, unless such are skipped; without it, it is another hash.
    """
    train = dataset.train
    digest = hashlib.sha256(repr(dataset.classes).encode())
    digest.update(np.ascontiguousarray(train.indices).tobytes())
    digest.update(np.ascontiguousarray(train.labels).tobytes())
    if data.turns:  # the few below may all stand upright; as stored, data keep the hash that they have always had
        digest.update(b"upright")
    for position in np.linspace(0, len(train) - 1, PROBED_IMAGES).astype(int):
        try:
            digest.update(train.source.image(int(train.indices[position])).tobytes())
        except ImageError as error:
            if data.on_error is OnError.stop:
                raise refusal([str(error)], data) from error
    return digest.hexdigest()


def _network(config: Config, num_classes: int) -> TeacherNetwork:
    return build_teacher(
        config.teacher,
        config.scale,
        image_size=config.image_size,
        num_classes=num_classes,
        mean=config.data.mean,
        std=config.data.std,
        source=config.teacher_source,
        normalised=True,
    )
