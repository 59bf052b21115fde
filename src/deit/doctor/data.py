"""The data: how many of which class, what cannot be read, what is misnamed, small, or in two splits."""

import hashlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from deit.config import image_files, layout
from deit.config.image_files import IMAGE_SUFFIXES, left_out
from deit.config.image_formats import open_image
from deit.config.material import Data, DataKind, Decode, OnError
from deit.data.progress import watched
from deit.data.sources import DataSet, ImageError, Split
from deit.data.sources.orientation import AS_STORED, orientation_of
from deit.doctor.machine import num_cores
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Verdict, ok, problem, warning
from deit.evaluation.baselines import wilson_interval

SAMPLE = 4096  # images decoded unless all are: half a minute of one core for photographs of ImageNet's size
LISTED = 40  # files named in one verdict
SHOWN = 5  # smallest and largest classes; all where there are no more than twice as many
FEW_HELD_OUT = 100  # images: below, an accuracy is known to ten points at best
AT_ONCE = 256  # images whose decoding is under way


def check(subject: Subject) -> Iterator[Verdict]:
    """Count, then decode a sample or all."""
    dataset, data = subject.dataset, subject.given.data
    splits = distinct(dataset)
    yield counts(dataset, splits)
    yield from classes(dataset, splits)
    yield from small_splits(splits)
    if data.kind in (DataKind.folder, DataKind.imagenet) and data.root is not None:
        yield other_files(Path(data.root))
        if beside := left_out(Path(data.root), list(layout.split_folders(data.root).values())):
            advice = "nothing if they are copies or thumbnails; else move them into the folder of their class"
            yield warning("left out", f"images that are of no class: {', '.join(beside)}", advice)
    found = Findings(subject.given.image_size, data.on_error, data.turns)
    sample = chosen(splits, None if subject.all_images else SAMPLE)
    total = sum(len(split) for split in sample.values())
    for look in watched("data", looks(sample, data), total):
        found.add(look)
    whole = total == sum(map(len, splits.values()))
    yield from found.verdicts("all" if whole else f"{total:,} evenly spread images; all=true decodes every one")


def distinct(dataset: DataSet) -> dict[str, Split]:
    """The splits by name; what is only another name for val is left out."""
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {name: split for name, split in splits.items() if name != "test" or dataset.test_split == "test"}


def counts(dataset: DataSet, splits: dict[str, Split]) -> Verdict:
    """How many images each split has."""
    each = ", ".join(f"{len(split):,} {name}" for name, split in splits.items())
    same = "" if "test" in splits else " (val is what is tested on)"
    return ok("images", f"{sum(map(len, splits.values())):,} of {len(dataset.classes):,} classes: {each}{same}")


def classes(dataset: DataSet, splits: dict[str, Split]) -> Iterator[Verdict]:
    """The smallest and largest classes, and those that a split lacks."""
    names = dataset.classes
    table = {name: np.bincount(split.labels, minlength=len(names)) for name, split in splits.items()}
    order = np.argsort(table["train"], kind="stable").tolist()
    shown = order if len(order) <= 2 * SHOWN else order[:SHOWN] + order[-SHOWN:]
    lines = tuple(f"{names[c]}: {', '.join(f'{table[name][c]:,} {name}' for name in table)}" for c in shown)
    few, many = order[0], order[-1]
    told = f"{table['train'][few]:,} ({names[few]}) to {table['train'][many]:,} ({names[many]}) training images each"
    yield ok("classes", told, listed=lines)
    for name, numbers in table.items():
        if lacking := [names[c] for c in np.flatnonzero(numbers == 0).tolist()]:
            more = (*lacking[:LISTED], *([f"and {len(lacking) - LISTED} more"] if len(lacking) > LISTED else []))
            advice = "add images to it" if name == "train" else "its accuracy says nothing about them; add images"
            yield warning("classes", f"{name} has none of {len(lacking):,} classes", advice, listed=more)


def small_splits(splits: dict[str, Split]) -> Iterator[Verdict]:
    """Held-out splits on which an accuracy is hardly known."""
    for name in ("val", "test"):
        if name in splits and 0 < (size := len(splits[name])) < FEW_HELD_OUT:
            low, high = wilson_interval(size // 2, size)
            told = f"{name} has {size:,} images: an accuracy of {100 * (size // 2) / size:.0f} % may be {low:.0f} to"
            told += f" {high:.0f} % (95 %, Wilson)"
            yield warning("held out", told, f"add images, or pass a larger data.{name}_fraction")


def other_files(root: Path) -> Verdict:
    """Files below ``root`` that are not taken for images."""
    others = image_files.other_files(root)
    if not others:
        return ok("other files", "none: every file is taken for an image")
    told = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(SHOWN))
    possible = f"nothing if they are no images; else convert them to one of {' '.join(sorted(IMAGE_SUFFIXES))}"
    return warning("other files", f"passed over are {sum(others.values()):,}: {told}", possible)


def chosen(splits: dict[str, Split], most: int | None) -> dict[str, Split]:
    """Of each split its share of ``most`` images, evenly spread; everything if None. Train comes last."""
    total = sum(map(len, splits.values()))
    step = 1 if most is None else max(1, -(-total // most))
    later = sorted(splits, key=lambda name: name == "train")
    return {name: Split(splits[name].source, splits[name].indices[::step]) for name in later}


class Look(NamedTuple):
    """What there is to say about one image."""

    split: str
    name: str
    error: str = ""
    short_side: int = 0
    pixels: bytes = b""
    """A hash of them."""
    is_turned: bool = False
    """Whether its EXIF orientation says that it does not stand upright as it is stored."""
    form: str = ""
    """What the file really is, where its suffix says otherwise."""


def looks(splits: dict[str, Split], data: Data) -> Iterator[Look]:
    """Decode the images of ``splits`` as a run of ``data`` would, on all cores."""

    def look(place: tuple[str, int]) -> Look:
        split, index = place
        source = splits[split].source
        name = source.describe(index)
        try:
            if data.decode is Decode.reference:
                pixels = np.asarray(source.image(index))
            else:
                picture = source.picture(index)
                pixels = picture.rows(0, picture.height)
        except ImageError as error:
            return Look(split, name, error=str(error))
        digest = hashlib.blake2b(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes(), digest_size=16)
        is_turned = orientation_of(name) != AS_STORED  # of images that are no files nothing is known
        return Look(split, name, "", min(pixels.shape[:2]), digest.digest(), is_turned, other_form(name))

    places = ((name, int(index)) for name, split in splits.items() for index in split.indices)
    with ThreadPoolExecutor(max(1, int(num_cores()))) as threads:
        while block := list(itertools.islice(places, AT_ONCE)):
            yield from threads.map(look, block)


def other_form(name: str) -> str:
    """What the file ``name`` really is, where its suffix says otherwise; empty also for images that are no files."""
    expected = Image.registered_extensions().get(Path(name).suffix.lower())
    if expected is None or not Path(name).is_file():
        return ""
    with suppress(OSError), open_image(name) as image:
        same = {image.format, expected} in ({expected}, {"JPEG", "MPO"})  # MPO: a JPEG with further pictures after it
        return "" if same else image.format or ""
    return ""


@dataclass
class Findings:
    """What looking at images one after another has shown."""

    side: int
    """Of the student's images, in pixels."""
    on_error: OnError
    turns: bool
    """Whether a run turns images upright."""
    total: int = 0
    broken: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    num_turned: int = 0
    num_small: int = 0
    smallest: int = 2**31
    held_out: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    """Split and name of each image of val and test by its pixels; those of train, which come last, are not kept."""

    def add(self, look: Look) -> None:
        self.total += 1
        if look.error:
            self.broken.append(look.error)
            return
        self.smallest = min(self.smallest, look.short_side)
        self.num_small += look.short_side < self.side
        self.num_turned += look.is_turned
        if look.form:
            self.misnamed.append(f"{look.name} is {look.form}")
        split, name = self.held_out.get(look.pixels, (look.split, ""))
        if split != look.split:
            self.twice.append(f"{look.name} ({look.split}) is {name} ({split})")
        elif look.split != "train":
            self.held_out[look.pixels] = look.split, look.name

    def verdicts(self, which: str) -> Iterator[Verdict]:
        """which: words for the images that were looked at."""
        if self.broken:
            told = f"{len(self.broken):,} of {self.total:,} images cannot be read"
            if self.on_error is OnError.skip:
                yield warning(
                    "reading", told, "nothing: data.on_error=skip leaves them out", listed=listed(self.broken)
                )
            else:
                advice = "put whole files there, or pass data.on_error=skip"
                yield problem("reading", told, advice, listed=listed(self.broken))
        else:
            yield ok("reading", f"{self.total:,} images decoded: {which}")
        if self.misnamed:
            told = f"not what they say: {len(self.misnamed):,} of {self.total:,} images"
            advice = "nothing for a run, which reads contents; rename them for other programs"
            yield warning("suffixes", told, advice, listed=listed(self.misnamed))
        if self.twice:
            told = f"in more than one split: {len(self.twice):,} of {self.total:,} images"
            yield warning(
                "copies", told, "remove them from train, or what is tested was learnt", listed=listed(self.twice)
            )
        else:
            yield ok("copies", "no image looked at is in more than one split")
        if self.num_turned:
            done = "turned as their EXIF says" if self.turns else "left so, because data.upright=false"
            yield ok("upright", f"not stored upright: {self.num_turned:,} of {self.total:,} images; they are {done}")
        yield self._sizes()

    def _sizes(self) -> Verdict:
        right = self.total - len(self.broken)
        told = f"the shortest side is {self.smallest} pixels, a run uses {self.side}" if right else "none is readable"
        if not 0 < self.num_small <= right / 2:  # where most are small, that is what the data are
            return ok("sizes", told)
        advice = "remove them if they are thumbnails"
        return warning("sizes", f"to be enlarged: {self.num_small:,} of {right:,} images; {told}", advice)


def listed(lines: list[str]) -> tuple[str, ...]:
    """Some dozens of ``lines``, and how many more there are."""
    return (*lines[:LISTED], *([f"and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []))
