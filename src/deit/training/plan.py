"""Plan of a run: what it would do and how long it would take on this machine. Nothing is trained or written."""

import math
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deit.config.network import Family
from deit.config.resources import SUBMITIT_SLURM
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

WIDTH = 120  # characters, if the output is not a terminal


def show(config: Config) -> float:
    """Print the plan of ``config`` and return 0, the accuracy of a run that was not made.

    Raises:
        ConfigError: For mistakes that only the data can reveal.
    """
    configure_torch(config)
    dataset = open_dataset(config.data)
    config = suited(config, dataset)
    data, student, teacher = parts(config, dataset)
    table = Table(title=f"Plan of {config.name}", show_header=False)
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
    """Return the data, the student and the teacher of a run of ``config``, with random weights."""
    # Packed images are read as such; what is not packed yet stays as it is.
    known = config.data.packed_side is not None and is_packed(dataset, config.data)
    data = keyed_data(config, packed(dataset, config.data) if known else dataset)
    student = make_student(config, num_classes=data.num_classes)
    teacher = teachers.untrained(config, num_classes=data.num_classes) if config.uses_teacher else None
    return data, student, teacher


def _student(config: Config, student: Student) -> Rows:
    parameters = sum(parameter.numel() for parameter in student.parameters())
    size, patch = config.image_size, config.scale.patch_size
    side = size // patch
    patches = "" if config.model.family is Family.timm else f", {side} x {side} patches of {patch} pixels"
    heads = "class head and distillation head" if student.two_heads else "class head"
    return [
        ("student", f"{config.model.name}, {parameters:,} parameters, {heads}"),
        ("input", f"{size} x {size} pixels{patches}"),
        ("initial weights", config.init or "random"),
    ]


def _images(config: Config, dataset: DataSet, data: KeyedData) -> Rows:
    a = config.augment
    mixing = f"Mixup {a.mixup:g} and CutMix {a.cutmix:g} per {a.mix_mode}" if a.mixes else "no mixing"
    policy = a.auto_augment or "no augmentation policy"
    return [
        ("data", f"{config.data.name}: {counted(len(dataset.train), 'training image')}, {data.num_classes:,} classes"),
        ("", f"{counted(len(dataset.val), 'validation image')}, which choose the best checkpoint"),
        ("", f"{counted(len(dataset.test), 'test image')} (split {dataset.test_split})"),
        ("decoding", f"{config.data.decode}{_packing(config, dataset)}"),
        ("augmentation", f"crop {a.crop}, {policy}, random erasing {a.erasing:g}, {mixing}"),
    ]


def counted(number: int, noun: str) -> str:
    """Return ``number`` with ``noun``, in the plural unless it is 1."""
    return f"{number:,} {noun}{'es' if noun.endswith('batch') else 's'}" if number != 1 else f"1 {noun}"


def _packing(config: Config, dataset: DataSet) -> str:
    side = config.data.packed_side
    if side is None:
        return ""
    first = "" if is_packed(dataset, config.data) else ", which are not packed yet"
    return f", from images packed at {side} pixels{first}"


def _steps(config: Config, data: KeyedData) -> Rows:
    o, t = config.optim, config.trainer
    views, steps = data.num_train_views, math.ceil(data.num_train_batches / t.accumulate)
    each = o.batch_size // t.world_size // t.accumulate
    rate = schedule(o, steps_per_epoch=steps)
    scaled = f" = {o.lr:g} x {o.batch_size} / 512" if o.scale_lr else ""
    epochs, repeats = counted(o.epochs, "epoch"), counted(config.augment.repeats, "view")
    devices, batches = counted(t.world_size, "device"), counted(t.accumulate, "accumulated batch")
    return [
        ("epoch", f"{counted(views, 'view')} ({repeats} per image) in {counted(steps, 'optimiser step')}"),
        ("training", f"{epochs}, {counted(o.epochs * views, 'view')}, {counted(o.epochs * steps, 'optimiser step')}"),
        *(
            []
            if t.patience is None or t.patience >= o.epochs
            else [("early stopping", f"after {_without_gain(t.patience)}")]
        ),
        ("batch", f"{counted(o.batch_size, 'view')} per step: {devices} x {batches} x {counted(each, 'view')}"),
        ("learning rate", f"{o.kind}, peak {o.peak_lr:.3g}{scaled}, warm-up of {counted(o.warmup_epochs, 'epoch')}"),
        ("", f"from {rate(0):.3g} to {rate(o.epochs * steps - 1):.3g}, schedule {o.schedule}"),
    ]


def _without_gain(patience: int) -> str:
    return f"{counted(patience, 'epoch')} without a better validation accuracy"


def _teacher(config: Config, dataset: DataSet, teacher: TeacherNetwork | Ensemble | None) -> Rows:
    if teacher is None:
        return [("teacher", "none")]
    members = teachers.members(config)
    to_do = len(unfitted(config, dataset))
    whence = {
        TeacherSource.pretrained: "published weights",
        TeacherSource.checkpoint: config.teacher.checkpoint or ", ".join(config.teacher.checkpoints),
        TeacherSource.random: "random weights, a dry run",
        TeacherSource.fit: "trained once on this dataset",
        TeacherSource.finetune: "published weights, fine-tuned once on this dataset",
    }
    active = config.distill.active
    given = "each training view as the student gets it" if active else "validation and test images"
    how = f"{config.distill.method} labels, weight {config.distill.alpha:g}" if active else "none, only compared"
    which = "it" if len(members) == 1 else f"{to_do} of {counted(len(members), 'teacher')}"
    return [
        ("teacher", f"{teachers.label(config)}, {whence[config.teacher_source]}"),
        *([("", f"{which} must be trained first; the estimate leaves that time out")] if to_do else []),
        ("teacher input", f"{given}, at {' and '.join(map(str, teacher.sizes(config.image_size)))} pixels"),
        ("distillation", how),
    ]


def unfitted(config: Config, dataset: DataSet) -> list[Path]:
    """Return the files of teachers that a run of ``config`` would have to train first."""
    members = teachers.members(config) if config.uses_teacher else []
    files = [teachers.fitted_file(m, dataset) for m in members if m.fits_teacher]
    return [file for file in files if not file.is_file()]


def epoch_seconds(config: Config, data: KeyedData, measured: probe.Probe) -> float:
    """Return the seconds of an epoch with its validation on one device."""
    workers = config.data.workers
    training = data.num_train_views * measured.training(workers)
    return training + len(data.dataset.val) * max(measured.evaluate, measured.load / max(workers, 1))


def _cost(config: Config, data: KeyedData, measured: probe.Probe) -> Rows:
    devices, workers = config.trainer.world_size, config.data.workers
    epoch = epoch_seconds(config, data, measured)
    total = config.optim.epochs * epoch
    speeds = f"student {1 / measured.step:,.1f} images/s"
    speeds += f", teacher {1 / measured.teacher:,.1f} images/s" if measured.teacher else ""
    by = f"in each of {counted(workers, 'worker')}" if workers else "in the training process"
    one = f"one {'GPU' if measured.device == 'cuda' else 'CPU process'}"
    return [
        ("measured here", f"{speeds}, on {one}"),
        ("", f"loading {1 / measured.load:,.0f} images/s {by}"),
        ("estimate", f"{duration(epoch)} per epoch, {duration(total)} in total, on {one}"),
        *([("", f"{duration(total / devices)} in total if {devices} devices share the work evenly")] * (devices > 1)),
        *(("", text) for text in elsewhere(config)),
    ]


def elsewhere(config: Config) -> list[str]:
    """Return what an estimate is worth where the run will be on another machine than this one."""
    if config.resources.launcher != SUBMITIT_SLURM:
        return []
    return [f"measured on this machine; the nodes of resources={config.resources.name} may be faster or slower"]


def duration(seconds: float) -> str:
    """Format ``seconds`` in the largest unit of which there are at least one and a half."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
