"""What is asked of src/evaluate.py: its own words of the command line, and the settings that say something to it.

Imports no torch.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from deit.config import checkpoint_source, command_line, words
from deit.config.data_rules import data_are_there, settings_are_read
from deit.config.errors import ConfigError, nearest
from deit.config.execution import Trainer
from deit.config.material import Data
from deit.config.preflight import refuse
from deit.config.schema import PUBLISHED, Config
from deit.config.values import not_positive

SPLITS = ("test", "val")
V2 = {
    "v2-matched-frequency": "imagenetv2-matched-frequency-format-val",
    "v2-threshold-0.7": "imagenetv2-threshold0.7-format-val",
    "v2-top-images": "imagenetv2-top-images-format-val",
}
"""The three variants of ImageNet-V2 and the folders that their archives unpack to."""
SETS = (*SPLITS, "real", *V2, "a", "r", "sketch")
ALL_OF_V2 = "v2"
"""Stands for the three variants."""

RECORD = "evaluation.json"
OF_FILES = (".json", ".csv", ".tsv", ".md", ".html", ".txt", ".xlsx", ".pdf", ".npz", ".png")
"""Suffixes of what is no folder."""

EXAMPLES = {
    "checkpoint": "logs/runs/<run>",
    "sets": "val,real,v2,a,r,sketch",
    "output": "logs/evaluations/mine",
    "overwrite": "true",
    "batch_size": "64",
    "v2": "/data",
    "a": "/data/imagenet-a",
    "r": "/data/imagenet-r",
    "sketch": "/data/sketch",
}

OF_TRAINING = ("pack", "pack_path", "flip", "mean", "std", "train_fraction")
"""Settings of the data that evaluation images do not depend on: a network brings its own mean and deviation."""
OF_TRAINER = (
    "accelerator",
    "devices",
    "strategy",
    "precision",
    "channels_last",
    "threads",
    "limit_batches",
    "progress",
)
"""Settings of the trainer that an evaluation has too."""
CROP = "augment.eval_crop"


@dataclass(kw_only=True)
class Request:
    """What to evaluate, on what, and where to write it."""

    checkpoint: list[str]
    """A run's folder, a file, an exported folder or timm:<name>; several are compared."""
    sets: list[str] = field(default_factory=lambda: ["test"])
    """Of `SETS`, or v2 for its three variants."""
    output: Path | None = None
    """Folder; None: the run's own, or one below logs/evaluations."""
    overwrite: bool = False
    """Whether an evaluation that ``output``, or the run's own folder, holds is replaced."""
    batch_size: int = 64
    """Images of one forward pass on one device."""
    v2: Path | None = None
    """Folder that holds the variants' folders; this and the next: None: beside ``data.root``."""
    a: Path | None = None
    """ImageNet-A's folder, with a folder a class."""
    r: Path | None = None
    """ImageNet-R's."""
    sketch: Path | None = None
    """ImageNet-Sketch's."""

    @property
    def set_names(self) -> tuple[str, ...]:
        """The sets one by one, each once."""
        spread = (one for name in self.sets for one in (V2 if name == ALL_OF_V2 else (name,)))
        return tuple(dict.fromkeys(spread))


def taken(usage: str | None) -> Request:
    """The request of the command line, taken off it; a wrong one ends the program."""
    given = command_line.take_words([one.name for one in fields(Request)], usage)
    if {"-c", "--cfg"} & {argument.partition("=")[0] for argument in sys.argv}:
        given["checkpoint"] = f"{PUBLISHED}<name>"  # the settings alone are to be shown
    try:
        if {"-m", "--multirun"} & set(sys.argv):
            raise ConfigError("several checkpoints are one evaluation; leave out -m and pass checkpoint=<a>,<b>")
        asked = read([f"{name}={value}" for name, value in given.items()])
        if absent := [text for source in asked.checkpoint for text in checkpoint_source.problems(source)]:
            raise ConfigError.of(absent)
        return asked
    except ConfigError as error:
        refuse(str(error))


def read(arguments: Sequence[str]) -> Request:
    """The request that ``name=value`` words make.

    Raises:
        ConfigError: naming every problem at once.
    """
    asked = words.read(Request, arguments, EXAMPLES)
    possible = (*SETS, ALL_OF_V2)
    problems = [
        f"sets must be of {', '.join(possible)}, got {name}. Pass sets={nearest(name, possible) or 'test'}."
        for name in asked.sets
        if name not in possible
    ]
    if not asked.sets:
        problems.append("sets= names no set; pass sets=test")
    if not asked.checkpoint:
        problems.append(f"checkpoint= names no checkpoint; pass checkpoint={EXAMPLES['checkpoint']}")
    if doubles := {one for one in asked.checkpoint if asked.checkpoint.count(one) > 1}:
        problems.append(f"checkpoint names {', '.join(sorted(doubles))} twice; pass each once")
    problems += not_positive(batch_size=asked.batch_size)
    if asked.output is not None:
        problems += _unfit(asked.output, overwrite=asked.overwrite)
    unused = {"v2": bool(V2.keys() & set(asked.set_names))} | {n: n in asked.set_names for n in ("a", "r", "sketch")}
    for name, is_used in unused.items():
        place = getattr(asked, name)
        if place is not None and not is_used:
            problems.append(f"{name}={place} is the folder of a set that is not asked for; pass sets={name} too")
        elif place is not None and not place.is_dir():
            problems.append(f"{name}={place} is no folder; pass {name}=<existing folder>")
    if problems:
        raise ConfigError.of(problems)
    return asked


def _unfit(output: Path, *, overwrite: bool) -> list[str]:
    """Return why an evaluation cannot be written into ``output``."""
    if output.is_file():
        return [f"output={output} is a file; pass output=<folder>"]
    if output.suffix.lower() in OF_FILES:
        return [f"output must be a folder, got {output}, a file's name. Pass output={output.with_suffix('')}."]
    if (output / RECORD).exists() and not overwrite:
        return [f"output must hold no evaluation, got {output}, which does. Pass overwrite=true or another output."]
    return []


@dataclass(frozen=True)
class Settings:
    """How images are read, computed with and cropped."""

    data: Data
    trainer: Trainer
    crop: float | None
    """Side of the crop over the resized image for all networks; None: each its own."""


def settings(composed: Config, overrides: Sequence[str], own: Config | None) -> Settings:
    """What was typed, else what the run that is evaluated was made with, else the defaults.

    Args:
        composed: The configuration of the command line.
        overrides: What was typed for it.
        own: What the run was made with; None where no run is evaluated.

    Raises:
        ConfigError: for settings that say nothing to an evaluation, and for data that are not there.
    """
    keys = [override.lstrip("+").partition("=")[0] for override in overrides]
    if problems := [text for override, key in zip(overrides, keys, strict=True) for text in _foreign(override, key)]:
        raise ConfigError.of(problems)
    data, trainer = composed.data, composed.trainer
    if own is not None:
        if "data" not in keys:
            data = replace(own.data, **_typed("data", keys, composed.data))
        if "trainer" not in keys:  # devices are of this machine and this time
            one_device = replace(own.trainer, devices=1, num_nodes=1, strategy="auto", limit_batches=None)
            trainer = replace(one_device, **_typed("trainer", keys, composed.trainer))
    crop = composed.augment.eval_share if CROP in keys else None
    asked = replace(composed, data=data, trainer=trainer)
    problems = [*settings_are_read(asked), *data_are_there(asked, trains=False), *_unsuited(trainer)]
    if problems:
        raise ConfigError.of(problems)
    return Settings(data, trainer, crop)


def _typed(group: str, keys: Sequence[str], composed: object) -> dict:
    names = [key.partition(".")[2] for key in keys if key.startswith(f"{group}.")]
    return {name: getattr(composed, name) for name in names}


def _foreign(override: str, key: str) -> list[str]:
    group, _, name = key.partition(".")
    data_key = group == "data" and name not in OF_TRAINING
    trainer_key = group == "trainer" and (not name or name in OF_TRAINER)
    if data_key or trainer_key or key == CROP:
        return []
    return [
        f"{override} says nothing to an evaluation, whose checkpoint brings its network along; possible: data=…,"
        f" data.<key>=…, trainer=…, {', '.join(f'trainer.{one}' for one in OF_TRAINER)}, {CROP}; leave it out"
    ]


def _unsuited(trainer: Trainer) -> list[str]:
    if trainer.strategy == "fsdp":
        return [f"trainer={trainer.name} shards networks, which an evaluation does not need; pass trainer=ddp"]
    if trainer.devices > 1 and trainer.strategy == "auto":
        return [
            f"trainer={trainer.name} is one process, but {trainer.devices} devices were asked for; pass trainer=ddp"
        ]
    return []
