"""What a run would do, how long it would take on this machine, and nothing else."""

import math
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deit.config.network import Family
from deit.config.schema import Config
from deit.config.teaching import TeacherSource
from deit.data.datamodule import KeyedData
from deit.data.packing import is_packed, packed
from deit.data.sources import DataSet, open_dataset
from deit.models.students import Student
from deit.models.teachers import Ensemble, TeacherNetwork
from deit.training import probe, teachers
from deit.training.optimizer import schedule
from deit.training.run import configure_torch, keyed_data, make_student, suited

Rows = list[tuple[str, str]]

WIDTH = 120  # characters, where no terminal has a width of its own


def show(config: Config) -> float:
    """Print the plan of ``config``; returns 0, the accuracy of a run that did not take place.

    Raises:
        ConfigError: for mistakes that only the data could reveal.
    """
    configure_torch(config)
    dataset = open_dataset(config.data)
    config = suited(config, dataset)
    data, student, teacher = parts(config, dataset)
    table = Table(title=f"plan of {config.name}", show_header=False)
    for rows in (
        _student(config, student),
        _images(config, dataset, data),
        _steps(config, data),
        _teacher(config, data.dataset, teacher),
        _cost(config, data, probe.measure(config, data, student, teacher)),
    ):
        for row in rows:
            table.add_row(*row)
        table.add_section()
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    return 0.0


def parts(config: Config, dataset: DataSet) -> tuple[KeyedData, Student, TeacherNetwork | Ensemble | None]:
    """What a run of ``config`` would work with, the weights fresh."""
    # Packed images are read as such; what is not packed yet stays as it is.
    known = config.data.packed_side is not None and is_packed(dataset, config.data)
    data = keyed_data(config, packed(dataset, config.data) if known else dataset)
    student = make_student(config, num_classes=data.num_classes)
    teacher = teachers.untrained(config, num_classes=data.num_classes) if config.uses_teacher else None
    return data, student, teacher


def _student(config: Config, student: Student) -> Rows:
    parameters = sum(parameter.numel() for parameter in student.parameters())
    size = config.image_size
    side = size // config.scale.patch_size
    patches = "" if config.model.family is Family.timm else f", {side} x {side} patches"
    heads = "class and distillation head" if student.two_heads else "class head"
    return [
        ("student", f"{config.model.name}, {parameters:,} parameters, {heads}"),
        ("images", f"{size} x {size} pixels{patches}"),
        ("starts from", config.init or "fresh weights"),
    ]


def _images(config: Config, dataset: DataSet, data: KeyedData) -> Rows:
    a = config.augment
    mixing = f"Mixup {a.mixup:g} and CutMix {a.cutmix:g} by {a.mix_mode}" if a.mixes else "no mixing"
    return [
        ("data", f"{config.data.name}: {len(dataset.train):,} training images of {data.num_classes:,} classes"),
        ("", f"{len(dataset.val):,} to choose checkpoints by, {len(dataset.test):,} to test on ({dataset.test_split})"),
        ("decoding", f"{config.data.decode}{_packing(config, dataset)}"),
        ("augmentation", f"crop {a.crop}, {a.auto_augment or 'no policy'}, erasing {a.erasing:g}, {mixing}"),
    ]


def _packing(config: Config, dataset: DataSet) -> str:
    side = config.data.packed_side
    if side is None:
        return ""
    first = "" if is_packed(dataset, config.data) else ", which is to be done first"
    return f", from images packed at {side} pixels{first}"


def _steps(config: Config, data: KeyedData) -> Rows:
    o, t = config.optim, config.trainer
    views, steps = data.num_train_views, math.ceil(data.num_train_batches / t.accumulate)
    each = o.batch_size // t.world_size // t.accumulate
    rate = schedule(o, steps_per_epoch=steps)
    scaled = f" = {o.lr:g} x {o.batch_size} / 512" if o.scale_lr else ""
    return [
        ("an epoch", f"{views:,} views, {config.augment.repeats} of an image, in {steps:,} steps"),
        ("the run", f"{o.epochs:,} epochs, {o.epochs * views:,} views, {o.epochs * steps:,} steps"),
        *([] if t.patience is None else [("", f"less where {t.patience} epochs bring no better validation accuracy")]),
        ("batch", f"{o.batch_size:,} = {t.world_size} devices x {t.accumulate} accumulated x {each}"),
        ("learning rate", f"{o.kind}, peak {o.peak_lr:.3g}{scaled}, {o.warmup_epochs} epochs of warm-up"),
        ("", f"from {rate(0):.3g} to {rate(o.epochs * steps - 1):.3g}, schedule {o.schedule}"),
    ]


def _teacher(config: Config, dataset: DataSet, teacher: TeacherNetwork | Ensemble | None) -> Rows:
    if teacher is None:
        return [("teacher", "none")]
    members = teachers.members(config)
    to_do = len(unfitted(config, dataset))
    whence = {
        TeacherSource.pretrained: "published weights",
        TeacherSource.checkpoint: config.teacher.checkpoint or ", ".join(config.teacher.checkpoints),
        TeacherSource.random: "random weights, a dry run",
        TeacherSource.fit: "fitted on these data, once",
        TeacherSource.finetune: "published weights, fine-tuned on these data, once",
    }
    sees = "each view as the student sees it, mixed and erased" if config.distill.active else "evaluation images"
    how = f"{config.distill.method}, weight {config.distill.alpha:g}" if config.distill.active else "only compared with"
    return [
        ("teacher", f"{' + '.join(m.teacher.name for m in members)}, {whence[config.teacher_source]}"),
        *([("", f"{to_do} of {len(members)} are to be fitted first, which is not in the estimate")] if to_do else []),
        ("it sees", f"{sees}, at {' and '.join(map(str, teacher.sizes(config.image_size)))} pixels"),
        ("distillation", how),
    ]


def unfitted(config: Config, dataset: DataSet) -> list[Path]:
    """The files of teachers that a run of ``config`` would have to fit first."""
    members = teachers.members(config) if config.uses_teacher else []
    files = [teachers.fitted_file(m, dataset) for m in members if m.fits_teacher]
    return [file for file in files if not file.is_file()]


def epoch_seconds(config: Config, data: KeyedData, measured: probe.Probe) -> float:
    """How long an epoch with its validation takes on one device."""
    workers = config.data.workers
    training = data.num_train_views * measured.training(workers)
    return training + len(data.dataset.val) * max(measured.evaluate, measured.load / max(workers, 1))


def _cost(config: Config, data: KeyedData, measured: probe.Probe) -> Rows:
    devices, workers = config.trainer.world_size, config.data.workers
    epoch = epoch_seconds(config, data, measured)
    total = config.optim.epochs * epoch
    speeds = f"student {1 / measured.step:,.1f}"
    speeds += f", teacher {1 / measured.teacher:,.1f}" if measured.teacher else ""
    speeds += f", loading {1 / measured.load:,.0f} with each of {workers} workers"
    return [
        ("measured here", f"{speeds} images/s on one {measured.device} device"),
        ("estimate", f"{duration(epoch)} an epoch, {duration(total)} in all on one such device"),
        *([("", f"{duration(total / devices)} if {devices} of them share it evenly")] if devices > 1 else []),
    ]


def duration(seconds: float) -> str:
    """In the largest unit of which there is at least one and a half."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
