"""How to train on a folder of one's own images: group `own`, and what decides it where it is ``auto``.

An option of the group is a file of values that any other setting of the user's wins over. Which one suits is a pure
function of what the images are, of what the user set, and of whether published weights can be had.
"""

import itertools
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from PIL import Image

from deit.config import layout
from deit.config.image_files import images_of, left_out, other_files
from deit.config.image_formats import open_image
from deit.config.values import Choice, not_positive

TINY_SIDE = 48  # pixels: what nano scale calls 384; enlarging smaller images adds nothing that they show
SPECK = 8  # pixels: the smallest set of images that is in use, scikit-learn's digits, has as many
SAMPLE = 256  # headers read: the median side is then known to a few per cent
FEW = 10  # images of a class; a fifth of fewer is one test image or none, which measures nothing
IMBALANCE = 10  # the largest class over the smallest, from where a frequent class hides a rare one in the accuracy
SHOWN = 5  # classes named
TOO_FEW = 60  # images in all; a fifth of fewer is a dozen test images
TOO_SMALL = 8  # pixels; smaller images show colours and no objects
FEWEST_PATCHES = 7  # a side: nano scale has 28 pixels in patches of 4
MOST_WORKERS = 4  # of small images, which are loaded faster than a laptop computes
GREY_MODES = ("1", "L", "LA", "I", "I;16", "F")


class OwnChoice(Choice):
    """The options of the group."""

    none = "none"
    auto = "auto"
    plain = "plain"
    """The scale's recipe, ended when it no longer improves."""
    scratch = "scratch"
    """Nano networks at 64 pixels, with a teacher fitted on the data."""
    finetune = "finetune"
    """A student and a teacher from published weights."""
    finetune_alone = "finetune_alone"
    """A student from published weights, no teacher."""


@dataclass(kw_only=True)
class Own:
    """Which recipe for one's own images a run follows."""

    choice: OwnChoice = OwnChoice.auto
    reasons: list[str] = field(default_factory=list)
    """Why, where ``auto`` was decided."""
    hours: float | None = 1.0
    """Hours that a run on one's own images may take on this machine, a teacher's training included: its epochs are
    reduced to fit, by a measurement when the recipe is chosen. null: no limit. Sweeps are not limited, because their
    jobs are compared over equal epochs."""
    epochs: int | None = None
    """Epochs that fit ``hours``, kept with the choice; null: the recipe's."""
    teacher_epochs: int | None = None
    """The same for a teacher that is trained on the images."""
    patience: int | None = None
    """What ``trainer.patience`` is unless it is set."""
    steps: int = 1
    """Optimiser steps that training takes at least: where an epoch has few, epochs and patience are more."""
    teacher_steps: int = 1
    """The same for a teacher that is trained on the data."""

    def problems(self) -> Iterator[str]:
        yield from not_positive(own__steps=self.steps, own__teacher_steps=self.teacher_steps)
        limits = {"own__hours": self.hours, "own__epochs": self.epochs, "own__teacher_epochs": self.teacher_epochs}
        yield from not_positive(**{key: value for key, value in limits.items() if value is not None})
        if self.patience is not None:
            yield from not_positive(own__patience=self.patience)


@dataclass(frozen=True)
class Images:
    """What a folder holds."""

    counts: dict[str, int]
    """Images of each class, all splits together."""
    short_side: int | None
    """Median of the shorter sides of a sample, in pixels; None if no header could be read."""
    grey: float = 0.0
    """Share of the sample without colours."""
    others: dict[str, int] = field(default_factory=dict)
    """Files that are not taken for images, by suffix."""
    left_out: list[str] = field(default_factory=list)
    """Images that are of no class, by where they lie."""


def look(root: str) -> Images:
    """Count the images below ``root`` and read the headers of a sample; nothing is decoded."""
    present = list(layout.split_folders(root).values()) or [Path(root)]
    names = layout.class_names(root)
    found = images_of([top / name for top in present for name in names])
    files = {name: list(itertools.chain.from_iterable(found[label :: len(names)])) for label, name in enumerate(names)}
    every = [file for images in files.values() for file in images]
    headers = [header for file in every[:: -(-len(every) // SAMPLE) or 1] if (header := _header(file)) is not None]
    return Images(
        {name: len(images) for name, images in files.items()},
        round(median(side for side, _ in headers)) if headers else None,
        sum(grey for _, grey in headers) / len(headers) if headers else 0.0,
        dict(other_files(Path(root)).most_common(SHOWN)),
        left_out(Path(root), present),
    )


def _header(file: str) -> tuple[int, bool] | None:
    """The shorter side of an image and whether it is grey; None for what is no image."""
    try:
        with open_image(file) as image:
            return min(image.size), image.mode in GREY_MODES
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def remarks(images: Images) -> Iterator[str]:
    """What is worth knowing of a folder before it is trained on."""
    counts, total = images.counts, sum(images.counts.values())
    few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    side = "" if images.short_side is None else f", short side {images.short_side} pixels (median)"
    yield f"{total:,} images of {len(counts):,} classes, {counts[few]:,} to {counts[many]:,} each{side}"
    if images.others:
        told = ", ".join(f"{count:,} {suffix}" for suffix, count in images.others.items())
        yield f"files that are not read as images: {told}; convert those that are some"
    if images.left_out:
        yield f"images that are of no class and not used: {', '.join(images.left_out)}"
    if images.short_side is not None and images.short_side < SPECK:
        yield f"a short side of {images.short_side} pixels shows next to nothing: are these the images?"
    if images.grey > 0.5:
        yield "most images are grey: they are read as RGB of three equal channels"
    if total < TOO_FEW:
        yield f"{total:,} images in all are too few to learn from: expect an accuracy near chance; add images"
    if images.short_side is not None and images.short_side < TOO_SMALL:
        pixels = "1 pixel" if images.short_side == 1 else f"{images.short_side} pixels"
        yield f"images of {pixels} show no objects: expect an accuracy near chance; pass larger images"
    if small := [name for name, count in counts.items() if count < FEW]:
        more = f" and {len(small) - SHOWN} more" if len(small) > SHOWN else ""
        yield f"fewer than {FEW} images: {', '.join(small[:SHOWN])}{more}; the accuracy says little about such classes"
    if counts[many] > IMBALANCE * counts[few]:
        yield (
            f"{many} has {counts[many]:,} images and {few} {counts[few]:,}: always naming {many} is right on"
            f" {100 * counts[many] / total:.0f} %; look at the accuracy class by class"
        )


def is_tiny(images: Images) -> bool:
    """Whether nothing larger than nano scale's own size shows more."""
    return images.short_side is None or images.short_side <= TINY_SIDE


def published_student(model: str, token: bool) -> str | None:
    """What ``init`` is for the published weights of ``model``, with or without a distillation token; YAML calls it."""
    size = {"deit_ti": "tiny", "deit_s": "small", "deit_b": "base"}.get(model)
    return None if size is None else f"timm:deit_{size}_{'distilled_' if token else ''}patch16_224.fb_in1k"


def patch_for(pixels: int | None, paper_pixels: int | None, image_size: int, shrink: int) -> int:
    """Return the side of a patch that gives an image about as many patches as nano scale has; YAML calls it.

    The time grows with the number of patches, faster than linearly: 8 x 8 patches of 8 pixels take a fifth of the time
    of 16 x 16 patches of 4.

    Args:
        pixels, paper_pixels: As in `Resolution`.
        image_size, shrink: As in `Scale`.
    """
    side = pixels or (paper_pixels // shrink if paper_pixels else image_size)
    return max((p for p in range(1, side + 1) if side % p == 0 and side // p >= FEWEST_PATCHES), default=1)


def loader_workers() -> int:
    """Return the data loader workers for which this machine has cores beside the one that trains; YAML calls it."""
    return max(0, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))


def choose(images: Images, *, asked: str | None, paper: bool, lacks: Callable[[OwnChoice], str | None]) -> Own:
    """The recipe that suits ``images``, and why.

    Args:
        images: What the folder holds.
        asked: What the user set that says by itself how to train, such as ``init=photos.ckpt``; None: nothing.
        paper: Whether the user set a scale with networks of the paper's size.
        lacks: What keeps a recipe with published weights from being followed; None: nothing. Asked only if need be.
    """
    choice, why = _chosen(images, asked, paper, lacks)
    return Own(choice=choice, reasons=[*remarks(images), f"own={choice}: {why}"])


def _chosen(
    images: Images, asked: str | None, paper: bool, lacks: Callable[[OwnChoice], str | None]
) -> tuple[OwnChoice, str]:
    if asked is not None:
        return OwnChoice.none, f"{asked} says how to train"
    if is_tiny(images) and not paper:
        seen = "no image could be read" if images.short_side is None else f"{images.short_side} pixels show no more"
        return OwnChoice.plain, f"nano scale's own size is enough, {seen}; training ends when it no longer improves"
    if (missing := lacks(OwnChoice.finetune)) is None:
        return OwnChoice.finetune, "student and teacher start from published weights and learn the classes at hand"
    if (also := lacks(OwnChoice.finetune_alone)) is None:
        return OwnChoice.finetune_alone, f"the student starts from published weights, without a teacher: {missing}"
    if paper:
        return OwnChoice.plain, f"random weights, which need far more images than a folder has: {also}"
    return OwnChoice.scratch, f"small networks from random weights, which learn less: {also}"


def levelled(owns: Mapping[int, Own], paper: Collection[int]) -> dict[int, Own]:
    """The recipes of a sweep's jobs on the same images, none of which starts from published weights unless all can.

    A table of jobs of which some knew ImageNet would compare that, and not what was swept over.

    Args:
        owns: By the number of the job.
        paper: Jobs whose scale the user set to the paper's.
    """
    tuned = (OwnChoice.finetune, OwnChoice.finetune_alone)
    without = next((number for number, own in owns.items() if own.choice not in tuned), None)
    if without is None:
        return dict(owns)

    def lowered(number: int, own: Own) -> Own:
        if own.choice not in tuned:
            return own
        choice = OwnChoice.plain if number in paper else OwnChoice.scratch
        why = f"own={choice}: as published weights cannot be had for job #{without} of this sweep"
        return Own(choice=choice, reasons=[*own.reasons[:-1], why])

    return {number: lowered(number, own) for number, own in owns.items()}
