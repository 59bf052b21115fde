"""What must hold between groups. Every rule yields its problems; all are reported at once.

A problem says what is wrong, what was given, what is possible, and what to type. A note is about a
setting that has no effect here: natural grids contain such cells, so they are said, not refused.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

from deit.config import layout, published
from deit.config.execution import Trainer
from deit.config.material import DataKind, MixMode
from deit.config.schema import Config
from deit.config.teaching import Distill, Method, TeacherSource

TEACHERS = "regnety_040, regnety_080, regnety_120, regnety_160, resnet50, efficientnet_b0 to efficientnet_b5, deit_b"


def groups_in_range(c: Config) -> Iterator[str]:
    for group in (
        c.scale,
        c.model,
        c.teacher,
        c.distill,
        c.resolution,
        c.data,
        c.augment,
        c.optim,
        c.trainer,
        c.logger,
    ):
        yield from group.problems()


def distillation_has_a_teacher(c: Config) -> Iterator[str]:
    if not c.teacher.present and (c.distill.active or c.distill.compare):
        given = f"distill.method={c.distill.method.value}" if c.distill.active else "distill.compare=true"
        yield (
            f"{given} needs a teacher, but teacher=none; possible: {TEACHERS}; pass teacher=regnety_160 or distill=none"
        )


def teacher_source_is_complete(c: Config) -> Iterator[str]:
    if not c.teacher.present:
        return
    source = c.teacher_source
    if source is TeacherSource.checkpoint and c.teacher.checkpoint is None:
        yield "teacher.source=checkpoint, but no file is named; pass teacher.checkpoint=<file>"
    if c.teacher.checkpoint is not None:
        if source is not TeacherSource.checkpoint:
            yield (
                f"teacher.checkpoint={c.teacher.checkpoint} would be ignored with teacher.source={source.value};"
                " pass teacher.source=checkpoint or leave the file out"
            )
        elif not Path(c.teacher.checkpoint).is_file():
            yield f"teacher.checkpoint={c.teacher.checkpoint} is not a file; pass teacher.checkpoint=<existing file>"


def teacher_knows_the_classes(c: Config) -> Iterator[str]:
    if not c.uses_teacher or c.num_classes is None:
        return
    if c.teacher_source is TeacherSource.pretrained and c.teacher.num_classes not in (None, c.num_classes):
        yield (
            f"teacher={c.teacher.name} predicts {c.teacher.num_classes} classes, data={c.data.name} has"
            f" {c.num_classes}; pass teacher.source=fit to train one on these data,"
            " teacher.checkpoint=<file of a teacher for them>, or distill=none"
        )


def images_divide_into_patches(c: Config) -> Iterator[str]:
    patch = c.scale.patch_size
    if patch > 0 and c.image_size > 0 and c.image_size % patch:
        below = max(c.image_size // patch, 1) * patch
        yield (
            f"an image of {c.image_size} pixels does not divide into patches of {patch} (scale={c.scale.name});"
            f" possible: multiples of {patch}; pass resolution.pixels={below} or resolution.pixels={below + patch}"
        )


def heads_divide_the_width(c: Config) -> Iterator[str]:
    if c.model.heads > 0 and (c.embed_dim <= 0 or c.embed_dim % c.model.heads):
        yield (
            f"model.embed_dim={c.embed_dim} does not divide by model.heads={c.model.heads}; possible: multiples of"
            f" {c.model.heads}; pass model.embed_dim={c.model.heads * c.scale.head_dim}"
        )


def batch_divides(c: Config) -> Iterator[str]:
    parts = c.trainer.world_size * c.trainer.accumulate
    unit = 2 * parts  # mixing works on pairs, and a pair stays on one device
    if parts > 0 and c.optim.batch_size > 0 and c.optim.batch_size % unit:
        below = max(c.optim.batch_size // unit, 1) * unit
        yield (
            f"optim.batch_size={c.optim.batch_size} does not divide into pairs over {c.trainer.world_size} devices x"
            f" {c.trainer.accumulate} accumulated batches; possible: multiples of {unit};"
            f" pass optim.batch_size={below} or optim.batch_size={below + unit}"
        )


def warmup_ends_before_training(c: Config) -> Iterator[str]:
    if 0 < c.optim.epochs <= c.optim.warmup_epochs:
        yield (
            f"optim.warmup_epochs={c.optim.warmup_epochs} is not shorter than optim.epochs={c.optim.epochs};"
            f" pass optim.warmup_epochs={max(c.optim.epochs // 10, 0)} or more epochs"
        )


def learning_rates_are_ordered(c: Config) -> Iterator[str]:
    for key, value in (("warmup_lr", c.optim.warmup_lr), ("min_lr", c.optim.min_lr)):
        if c.optim.lr > 0 and value > c.optim.peak_lr:
            yield (
                f"optim.{key}={value:g} is above the peak rate {c.optim.peak_lr:g} (optim.lr={c.optim.lr:g} x"
                f" {c.optim.batch_size} / 512); pass optim.{key}={c.optim.peak_lr / 100:.1g} or a larger optim.lr"
            )


def data_are_there(c: Config) -> Iterator[str]:
    if c.data.kind in (DataKind.folder, DataKind.imagenet):
        if c.data.root is None:
            yield f"data={c.data.name} needs its folder; pass data.root=<folder with one folder a class>"
            return
        splits = ("train", "val") if c.data.kind is DataKind.imagenet else ()
        yield from layout.folder_problems(c.data.root, need_splits=splits)
        found = len(layout.class_names(c.data.root))
        if c.data.num_classes is not None and found > 1 and found != c.data.num_classes:
            yield (
                f"data.root={c.data.root} has {found} class folders, but data.num_classes={c.data.num_classes};"
                f" pass data.num_classes={found} or another data.root"
            )
    elif c.data.root is not None and not c.data.download and not Path(c.data.root).is_dir():
        yield f"data.root={c.data.root} is not a folder; pass data.root=<existing folder>, or data.download=true"
    else:
        yield from published.problems(c.data)
    if c.data.kind is DataKind.hf and c.data.path is None:
        yield "data=hf needs a dataset; pass data.path=<name on the Hub or local folder>"


def start_weights_exist(c: Config) -> Iterator[str]:
    if c.init is not None and not Path(c.init).is_file():
        yield f"init={c.init} is not a file; pass init=<checkpoint of a student>"
    if c.resume not in ("auto", "never") and not Path(c.resume).is_file():
        yield f"resume={c.resume} is not a file; possible: auto, never, or a checkpoint; pass resume=auto"


def devices_fit_the_strategy(c: Config) -> Iterator[str]:
    t: Trainer = c.trainer
    if t.world_size > 1 and t.strategy == "auto":
        yield f"trainer={t.name} is one process, but {t.world_size} devices were asked for; pass trainer=ddp"
    if t.strategy == "fsdp" and t.accelerator == "cpu":
        yield "trainer.strategy=fsdp shards over GPUs, but trainer.accelerator=cpu; pass trainer=ddp"
    if t.precision == "16-mixed" and t.accelerator == "cpu":
        yield "trainer.precision=16-mixed needs a GPU, but trainer.accelerator=cpu; pass trainer.precision=bf16-mixed"


def extras_are_installed(c: Config) -> Iterator[str]:
    if c.data.kind is DataKind.hf and importlib.util.find_spec("datasets") is None:
        yield "data=hf needs the package datasets, which is not installed; type pip install 'deit[hf]'"


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    groups_in_range,
    distillation_has_a_teacher,
    teacher_source_is_complete,
    teacher_knows_the_classes,
    images_divide_into_patches,
    heads_divide_the_width,
    batch_divides,
    warmup_ends_before_training,
    learning_rates_are_ordered,
    data_are_there,
    start_weights_exist,
    devices_fit_the_strategy,
    extras_are_installed,
)


def problems(config: Config) -> list[str]:
    """Everything that keeps ``config`` from being run, in words that the user can type back."""
    return list(dict.fromkeys(text for rule in RULES for text in rule(config)))


def notes(config: Config) -> list[str]:
    """What was set, is harmless, and has no effect in this run; and what is no real experiment."""
    return [*_teacher_notes(config), *_distill_notes(config), *_data_notes(config)]


def _teacher_notes(c: Config) -> Iterator[str]:
    if c.teacher.present and not c.uses_teacher:
        yield (
            f"distill=none: teacher={c.teacher.name} is not used;"
            " distill.compare=true measures the student's agreement with it"
        )
    if c.uses_teacher and c.teacher_source is TeacherSource.random:
        yield (
            "DRY RUN: teacher.source=random gives a teacher that has learnt nothing; no figure of this run means"
            " anything"
        )


def _distill_notes(c: Config) -> Iterator[str]:
    defaults = Distill()
    if c.distill.method is not Method.soft:
        for key, value, default in (("tau", c.distill.tau, defaults.tau), ("kl", c.distill.kl, defaults.kl)):
            if value != default:
                yield f"distill.{key} has no effect with distill={c.distill.method.value}; it belongs to distill=soft"
    if not c.distill.active and c.distill.alpha != defaults.alpha:
        yield "distill.alpha has no effect with distill=none"


def _data_notes(c: Config) -> Iterator[str]:
    if c.trainer.limit_batches is not None:
        yield (
            f"DRY RUN: trainer.limit_batches={c.trainer.limit_batches} leaves out most images; no figure of this run"
            " means anything"
        )
    if c.data.kind is DataKind.digits and c.data.root is not None:
        yield f"data.root={c.data.root} has no effect: data=digits ships with scikit-learn"
    if not c.augment.mixes and c.augment.mix_mode is not MixMode.pair:
        yield "augment.mix_mode has no effect: neither augment.mixup nor augment.cutmix is on"
