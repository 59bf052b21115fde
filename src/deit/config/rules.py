"""What must hold between groups. Every rule yields its problems; all are reported at once.

A problem says what is wrong, what was given, what is possible, and what to type.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

from deit.config import checkpoint_source
from deit.config.adapt import adapted
from deit.config.data_rules import data_are_there, settings_are_read
from deit.config.errors import invalid
from deit.config.execution import LabelLoss, Trainer
from deit.config.material import DataKind, MixMode
from deit.config.schema import OF_SWEEP, PUBLISHED, Config
from deit.config.teaching import BankMode, TeacherSource
from deit.config.values import MOST_SEED, outside

LONGEST_NAME = 200  # bytes; file systems allow 255, and the date stands before it
TEACHERS = "regnety_040, regnety_080, regnety_120, regnety_160, resnet50, efficientnet_b0 to efficientnet_b5, deit_b"


def groups_in_range(c: Config) -> Iterator[str]:
    for item in fields(c):
        group = getattr(c, item.name)
        if is_dataclass(group):
            yield from group.problems()  # pyright: ignore[reportAttributeAccessIssue] - every group has its own


def texts_are_not_empty(c: Config) -> Iterator[str]:
    for key, value in _texts(c, ""):
        if not value.strip():
            yield f"{key} is empty; leave it out, or pass {key}=<text>"


def _texts(node: object, prefix: str) -> Iterator[tuple[str, str]]:
    """Every text in the configuration by its key, those in lists too."""
    assert is_dataclass(node)
    for item in fields(node):
        key, value = prefix + item.name, getattr(node, item.name)
        if is_dataclass(value):
            yield from _texts(value, f"{key}.")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield key, text


def name_is_a_folders(c: Config) -> Iterator[str]:
    strange = "/" in c.name or not c.name.isprintable()
    if strange or len(c.name.encode()) > LONGEST_NAME:
        why = "has a / or what cannot be printed" if strange else f"has more than {LONGEST_NAME} bytes"
        yield f"name={c.name[:LONGEST_NAME]!r} {why}, but it becomes part of a folder's name; pass name=<a word>"


def seed_is_one(c: Config) -> Iterator[str]:
    yield from outside("seed", c.seed, 0, MOST_SEED)


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
    if source is TeacherSource.finetune and c.uses_teacher and c.scale.shrink > 1:
        yield (
            f"teacher.source=finetune starts from published weights, which no network of scale={c.scale.name} has; pass"
            " scale=paper or teacher.source=fit"
        )
    if source is TeacherSource.checkpoint and not c.teacher.from_file:
        key = "teacher.checkpoints=[<one file a member>]" if c.teacher.is_ensemble else "teacher.checkpoint=<file>"
        yield f"teacher.source=checkpoint, but no file is named; pass {key}"
    if c.teacher.checkpoint is not None:
        if source is not TeacherSource.checkpoint:
            yield (
                f"teacher.checkpoint={c.teacher.checkpoint} would be ignored with teacher.source={source.value};"
                " pass teacher.source=checkpoint or leave the file out"
            )
        else:
            yield from checkpoint_source.local_problems(c.teacher.checkpoint, "teacher.checkpoint", "<existing file>")
    for file in c.teacher.checkpoints:
        if not Path(file).exists():
            yield f"teacher.checkpoints names {file}, which is not a file; pass teacher.checkpoints=[<existing files>]"


def ensemble_has_members(c: Config) -> Iterator[str]:
    t = c.teacher
    if not t.is_ensemble:
        for key, given in (("members", t.members), ("checkpoints", t.checkpoints)):
            if given:
                yield f"teacher.{key} belongs to an ensemble, teacher={t.name} is one network; pass teacher=ensemble"
        return
    if len(t.members) < 2:
        yield (
            f"teacher=ensemble has {len(t.members)} members; at least 2 are needed;"
            " pass teacher.members=[regnety_160.deit_in1k,deit_base_patch16_224.fb_in1k]"
        )
    if t.checkpoint is not None:
        yield "teacher.checkpoint is for one network; pass teacher.checkpoints=[<one file a member>]"
    if t.checkpoints and len(t.checkpoints) != len(t.members):
        yield (
            f"teacher.checkpoints names {len(t.checkpoints)} files for {len(t.members)} members;"
            " pass one file a member, in their order"
        )


def teacher_knows_the_classes(c: Config) -> Iterator[str]:
    is_published = c.uses_teacher and c.teacher_source is TeacherSource.pretrained
    if is_published and c.num_classes is not None and c.teacher.num_classes not in (None, c.num_classes):
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


def packed_images_are_large_enough(c: Config) -> Iterator[str]:
    if c.data.packed_side is not None and 0 < c.data.packed_side < c.image_size:
        yield (
            f"data.pack={c.data.pack} packs images smaller than the student sees them ({c.image_size} pixels); pass"
            f" data.pack={math.ceil(c.image_size / 0.875)} or data.pack=none"
        )


def heads_divide_the_width(c: Config) -> Iterator[str]:
    heads = c.model.heads or 0
    if heads > 0 and (c.embed_dim <= 0 or c.embed_dim % heads):
        yield (
            f"model.embed_dim={c.embed_dim} does not divide by model.heads={heads}; possible: multiples of"
            f" {heads}; pass model.embed_dim={heads * c.scale.head_dim}"
        )


def batch_divides(c: Config) -> Iterator[str]:
    devices, parts = c.trainer.world_size, c.trainer.accumulate
    unit = devices * parts * (2 if c.augment.mixes else 1)  # a pair that is mixed stays on one device
    if devices * parts > 0 and c.optim.batch_size > 0 and c.optim.batch_size % unit:
        below = c.optim.batch_size // unit * unit
        named = {"two images that are mixed": c.augment.mixes, f"{devices} devices": devices > 1}
        named[f"{parts} accumulated batches"] = parts > 1
        factors = " x ".join(name for name, counts in named.items() if counts)
        advice = " or ".join(f"optim.batch_size={size}" for size in (below, below + unit) if size)
        off = ", or turn mixing off with augment.mixup=0 augment.cutmix=0" if c.augment.mixes else ""
        constraint = f"a multiple of {unit} ({factors})"
        yield invalid("optim.batch_size", constraint, c.optim.batch_size, f"Pass {advice}{off}")


def warmup_ends_before_training(c: Config) -> Iterator[str]:
    c, _ = adapted(c)
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


def start_weights_exist(c: Config) -> Iterator[str]:
    if c.init is None:
        if c.init_ema:
            yield "init_ema=true, but there is no init; pass init=<checkpoint of a student>"
    elif c.init == OF_SWEEP:
        pass  # the preflight knows the other jobs
    elif not c.init.startswith(PUBLISHED):
        example = f"init={PUBLISHED}deit_base_patch16_224.fb_in1k for weights that timm knows"
        yield from checkpoint_source.local_problems(c.init, "init", f"<checkpoint of a student>, or {example}")
    elif c.init_ema:
        yield f"init_ema=true, but init={c.init} holds no averaged weights; leave init_ema out"
    if c.resume not in ("auto", "never") and not Path(c.resume).is_file():
        yield f"resume={c.resume} is not a file; possible: auto, never, or a checkpoint; pass resume=auto"


def views_have_an_answer_of_their_own(c: Config) -> Iterator[str]:
    if c.distill.bank is not BankMode.off and c.augment.mixes and c.augment.mix_mode is MixMode.batch:
        yield (
            f"distill.bank={c.distill.bank} keeps an answer a view, but augment.mix_mode=batch mixes each view by its"
            " batch; pass augment.mix_mode=pair or distill.bank=off"
        )
    if c.distill.views is not None and c.augment.repeats > 0 and c.distill.views % c.augment.repeats:
        yield (
            f"distill.views={c.distill.views} ends amid the {c.augment.repeats} epochs that share a view of every image"
            f" (augment.repeats); pass distill.views={max(1, c.distill.views // c.augment.repeats) * c.augment.repeats}"
        )


def labels_suit_the_loss(c: Config) -> Iterator[str]:
    if c.optim.loss is LabelLoss.binary and c.augment.smoothing > 0:
        yield (
            f"optim.loss=binary takes every class with a share for true, and augment.smoothing={c.augment.smoothing:g}"
            " gives every class one; pass augment.smoothing=0"
        )


def devices_fit_the_strategy(c: Config) -> Iterator[str]:
    t: Trainer = c.trainer
    if t.world_size > 1 and t.strategy == "auto":
        yield f"trainer={t.name} is one process, but {t.world_size} devices were asked for; pass trainer=ddp"
    if t.strategy == "fsdp" and t.accelerator == "cpu":
        yield "trainer.strategy=fsdp shards over GPUs, but trainer.accelerator=cpu; pass trainer=ddp"
    if t.strategy == "fsdp" and c.optim.ema is not None:
        yield "optim.ema keeps whole weights, which trainer.strategy=fsdp shards; pass trainer=ddp or optim.ema=null"
    if t.precision == "16-mixed" and t.accelerator == "cpu":
        yield "trainer.precision=16-mixed needs a GPU, but trainer.accelerator=cpu; pass trainer.precision=bf16-mixed"


def devices_fit_the_resources(c: Config) -> Iterator[str]:
    r, t = c.resources, c.trainer
    for key, asked, here, given in (
        ("devices", t.devices, "tasks_per_node", r.tasks_per_node),
        ("num_nodes", t.num_nodes, "nodes", r.nodes),
    ):
        if r.submits and asked != given:
            yield (
                f"trainer.{key}={asked}, but resources={r.name} has resources.{here}={given}, which sets both; pass"
                f" resources.{here}={asked} and leave trainer.{key} out"
            )


def extras_are_installed(c: Config) -> Iterator[str]:
    if c.data.kind is DataKind.hf and importlib.util.find_spec("datasets") is None:
        yield "data=hf needs the package datasets, which is not installed; type pip install 'deit[hf]'"


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    groups_in_range,
    texts_are_not_empty,
    name_is_a_folders,
    seed_is_one,
    distillation_has_a_teacher,
    teacher_source_is_complete,
    ensemble_has_members,
    teacher_knows_the_classes,
    images_divide_into_patches,
    packed_images_are_large_enough,
    heads_divide_the_width,
    batch_divides,
    warmup_ends_before_training,
    learning_rates_are_ordered,
    start_weights_exist,
    views_have_an_answer_of_their_own,
    labels_suit_the_loss,
    devices_fit_the_strategy,
    devices_fit_the_resources,
    extras_are_installed,
)


def problems(config: Config, *, trains: bool = True) -> list[str]:
    """Everything that keeps ``config`` from being run, in words to type back; trains: whether it needs train images."""
    found = [text for rule in RULES for text in rule(config)]
    if trains:  # an evaluation takes what is not typed from the run that is evaluated
        found += settings_are_read(config)
    return list(dict.fromkeys([*found, *data_are_there(config, trains=trains)]))
