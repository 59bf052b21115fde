"""One evaluation from what was asked for to the files that it leaves."""

import io
import json
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy

from deit.assessment import held_out, results
from deit.assessment.measuring import Answers, Measure
from deit.assessment.request import RECORD, Request, Settings, settings
from deit.assessment.sets import ImageSet, open_sets
from deit.assessment.subjects import Subject, own_config, read_subjects, refuse_other_images, refuse_other_turns
from deit.config.errors import RunError, printable
from deit.config.execution import Trainer
from deit.config.file_names import shortened, slug, vacant
from deit.config.material import DataKind
from deit.config.new_folders import claim
from deit.config.schema import Config
from deit.training.folder import environment, write_atomically
from deit.training.trainer import refuse_missing_devices

SCHEMA = 1
PREDICTIONS = "predictions"
"""Folder of the classes that were decided for, a file a set."""


def evaluate(request: Request, composed: Config, overrides: Sequence[str], typed: Sequence[str]) -> Path | None:
    """Measure what is asked for and write it; returns the folder, or None in a process that is not the first.

    Args:
        request: The words of the command line.
        composed: The configuration of the command line.
        overrides: What was typed for it.
        typed: The whole command line, to start further processes with.

    Raises:
        ConfigError: for mistakes, all that are of one kind at once, before an image is decoded.
        RunError: for images that cannot be read.
    """
    subjects = read_subjects(request.checkpoint)
    if not any(override.startswith("data=") for override in overrides):
        refuse_other_images(subjects)
    if not any(override.startswith(("data=", "data.upright=")) for override in overrides):
        refuse_other_turns(subjects)
    chosen = settings(composed, overrides, own_config(subjects))
    refuse_missing_devices(replace(composed, trainer=chosen.trainer))
    keys = [override.lstrip("+").partition("=")[0] for override in overrides]
    chosen, sets = open_measured(request, chosen, subjects, keys)
    fabric = _devices(chosen.trainer, typed)
    try:
        record, answers = _measured(fabric, request, chosen, subjects, sets)
    except torch.OutOfMemoryError:
        _end_others(fabric)
        given = request.batch_size
        raise RunError(f"the GPU ran out of memory at batch_size={given}; pass batch_size={given // 2 or 1}") from None
    except RunError:  # all devices raise the same
        if not fabric.is_global_zero:
            raise SystemExit(0) from None  # the first process says it, and any other status would end it at that
        _end_others(fabric)
        raise
    except BaseException:
        _end_others(fabric)
        raise
    if not fabric.is_global_zero:
        return None
    folder = _folder(request, subjects)
    record["command"] = list(typed)
    _write(folder, record, sets, subjects, answers)
    return folder


def open_measured(
    request: Request, chosen: Settings, subjects: Sequence[Subject], typed: Sequence[str]
) -> tuple[Settings, list[ImageSet]]:
    """Return the settings, with a run's own split where its own data are asked for, and the sets to measure.

    typed: keys of the overrides.
    """
    runs = held_out.trained_on(subjects, chosen.data)
    chosen = replace(chosen, data=held_out.with_own_split(chosen.data, runs, typed))
    are_new = held_out.are_new(chosen.data, runs)
    if are_new:
        held_out.refuse_split_settings(typed)
    owner = runs[0].source if runs else None
    sets = open_sets(request, chosen.data, subjects, trained_by=owner, are_new=are_new)
    held_out.refuse_unrecorded_split(runs, [images.split for images in sets])
    for images in sets if chosen.data.kind is DataKind.folder else ():
        held_out.refuse_trained_images([one for one in subjects if one not in runs], images.split)
    if not are_new:
        return chosen, sets
    unknown = ", ".join(one.source for one in subjects if one.trained.config is None)
    doubt = f"; {unknown} does not record its training images, be sure that these are none" if unknown else ""
    return chosen, [replace(images, origin=images.origin + doubt) for images in sets]


class _Asked(NamedTuple):
    """Answers of all networks to a set, in their order."""

    images: ImageSet
    answers: list[Answers]


def _measured(
    fabric: Fabric, request: Request, chosen: Settings, subjects: Sequence[Subject], sets: Sequence[ImageSet]
) -> tuple[results.Record, list[_Asked]]:
    asked = [_Asked(images, []) for images in sets]
    networks = []
    for subject in subjects:
        measure = Measure(fabric, subject, chosen, batch_size=request.batch_size)
        for place, (images, answers) in enumerate(asked):
            same = next((earlier for earlier in asked[:place] if _are_the_same_images(earlier.images, images)), None)
            answers.append(measure.answers(images) if same is None else same.answers[-1])
        cosine = measure.token_cosine(sets[0])
        networks.append(results.subject_record(subject, crop=measure.crop, token_cosine=cosine))
        measure.student.cpu()  # the next network needs the room
    record: results.Record = {
        "schema": SCHEMA,
        "data": chosen.data.name,
        "precision": chosen.trainer.precision,
        "limited": chosen.trainer.limit_batches is not None,
        "networks": networks,
        "classes": results.class_names(sets[0].classes),
        "sets": [results.set_record(images, subjects, answers) for images, answers in asked],
    }
    return record, asked


def _are_the_same_images(one: ImageSet, other: ImageSet) -> bool:
    """Whether a network's answers are the same: ReaL's images are those of val, with other labels."""
    return one.split is other.split and one.among == other.among


def _devices(trainer: Trainer, typed: Sequence[str]) -> Fabric:
    """The devices, at work; with several processes the others begin to run the same command here."""
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    torch.set_float32_matmul_precision("high")  # as in training: TF32 where the GPU has it
    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # a cluster need not be used
    sys.argv[1:] = typed  # words of our own were taken off, and Lightning starts the others with it
    fabric = Fabric(
        accelerator=trainer.accelerator,
        devices=trainer.devices,
        strategy=DDPStrategy() if trainer.devices > 1 else "auto",
        precision=trainer.precision,  # pyright: ignore[reportArgumentType] - checked against Lightning's names
    )
    fabric.launch()
    return fabric


def _end_others(fabric: Fabric) -> None:
    """End the processes that Lightning started for this evaluation: they may wait for this one in vain."""
    for process in getattr(fabric.strategy.launcher, "procs", []):
        process.kill()


def _folder(request: Request, subjects: Sequence[Subject]) -> Path:
    """Where to write: beside the run whose best weights alone are evaluated, else below logs/evaluations."""
    if request.output is not None:
        return request.output
    source = Path(request.checkpoint[0])
    run = source.parent.parent if source.name == "best.ckpt" and source.parent.name == "checkpoints" else source
    if len(request.checkpoint) == 1 and (run / "run.json").is_file():
        return run / "evaluation" if request.overwrite else vacant(run / "evaluation")
    name = slug("_".join(dict.fromkeys(Path(one.trained.name).name for one in subjects)))
    return claim(Path("logs/evaluations") / shortened(f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{name}"))


def _write(
    folder: Path, record: results.Record, sets: Sequence[ImageSet], subjects: Sequence[Subject], asked: list[_Asked]
) -> None:
    (folder / PREDICTIONS).mkdir(parents=True, exist_ok=True)
    for images, answers in asked:
        seen = answers[0].seen
        columns = {"index": images.split.indices[seen], "label": images.split.labels[seen]}
        for subject, answer in zip(subjects, answers, strict=True):
            columns |= {f"{subject.name}: {name}": head.decisions for name, head in answer.heads.items()}
        file = io.BytesIO()
        small = {printable(name).replace("/", "_"): values.astype(np.int32) for name, values in columns.items()}
        np.savez_compressed(file, **small)  # pyright: ignore[reportArgumentType] - no name is allow_pickle
        write_atomically(folder / PREDICTIONS / f"{images.name}.npz", file.getvalue())
    record["environment"] = environment()
    write_atomically(folder / RECORD, json.dumps(record, allow_nan=False) + "\n")
