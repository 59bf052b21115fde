"""The sets of images that networks are evaluated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deit.assessment.new_images import open_new
from deit.assessment.request import SPLITS, V2, Request
from deit.assessment.subjects import Subject
from deit.config import layout
from deit.config.errors import ConfigError
from deit.config.material import Data
from deit.data.sources import DataSet, Split, open_dataset
from deit.data.sources.folders import list_images
from deit.evaluation import imagenet
from deit.models.class_names import imagenet_classes

FOLDERS = {"a": ("imagenet-a",), "r": ("imagenet-r",), "sketch": ("sketch", "imagenet-sketch")}
"""What the archives of the sets unpack to."""
TITLES = {
    "real": "ReaL: validation images with reassessed labels",
    "a": "ImageNet-A",
    "r": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
}
REAL, VAL = "real", "val"


@dataclass(frozen=True)
class ImageSet:
    """Images with the classes they may be of."""

    name: str
    title: str
    split: Split
    """Its labels are positions in ``classes``."""
    classes: tuple[str, ...]
    """All that the networks tell apart."""
    among: tuple[int, ...] | None = None
    """The classes that a decision may fall on, ascending; None: all."""
    allowed: tuple[frozenset[int], ...] | None = None
    """For each image of the split, what is right instead of its label; without any it does not count. None: labels."""
    origin: str = ""
    """Which images they are of all that are there; "" where the title says it."""

    @property
    def num_classes(self) -> int:
        """Classes that a decision may fall on."""
        return len(self.classes if self.among is None else self.among)


def open_sets(
    request: Request, data: Data, subjects: Sequence[Subject], *, trained_by: str | None = None, are_new: bool = False
) -> list[ImageSet]:
    """The sets that are asked for; no image is decoded yet.

    Args:
        request: Which sets.
        data: Where the first ones are.
        subjects: The networks.
        trained_by: The run whose own data ``data`` are; None for data of none.
        are_new: Whether all images of ``data`` are measured, because none of the networks was trained on any.

    Raises:
        ConfigError: naming every set that is not there, not as it is published, or of other classes than the networks.
    """
    names = request.set_names
    divided = {REAL} if are_new else {*SPLITS, REAL}
    opened = open_dataset(data, trains=False) if divided & set(names) else None
    problems = []
    if opened is not None and (problem := _other_classes(opened, data, subjects[0])):
        problems.append(problem)
    if foreign := set(names) - set(SPLITS):
        problems += _not_imagenet(sorted(foreign), subjects[0])
    if problems:
        raise ConfigError.of(problems)
    found: dict[str, ImageSet] = {}
    for name in names:
        try:
            if are_new and name in SPLITS:
                one = _new(name, data, subjects[0])
            elif opened is not None and name in (*SPLITS, REAL):
                one = _own(name, data, opened, trained_by)
            else:
                one = _kin(name, request, data)
            found.setdefault(one.name, one)  # of ImageNet val is the test too
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError.of(problems)
    return list(found.values())


def _other_classes(opened: DataSet, data: Data, subject: Subject) -> str | None:
    known = subject.trained.classes
    if len(known) == len(opened.classes) and (known == opened.classes or subject.is_unnamed):
        return None
    counts = f"{len(known)} classes apart, data={data.name} has {len(opened.classes)}"
    if len(known) == len(opened.classes):
        odd = next((one, other) for one, other in zip(known, opened.classes, strict=True) if one != other)
        counts += f" of other names, such as {odd[1]} where it knows {odd[0]}"
    return (
        f"{subject.source} tells {counts}; pass the data that it was trained for, such as data=imagenet"
        " data.root=<folder>, or data=folder data.root=<folder>"
    )


def _not_imagenet(names: Sequence[str], subject: Subject) -> list[str]:
    if subject.trained.classes == imagenet_classes(imagenet.NUM_CLASSES):
        return []
    return [
        f"sets={','.join(names)} are of ImageNet's {imagenet.NUM_CLASSES} classes, {subject.source} tells"
        f" {len(subject.trained.classes)} others apart; possible: {', '.join(SPLITS)}; pass sets=test"
    ]


def _new(name: str, data: Data, subject: Subject) -> ImageSet:
    """All images of the data, or of its split."""
    split, origin = open_new(name, data, subject)
    return ImageSet(name, f"{data.name}, {name}", split, subject.trained.classes, origin=origin)


def _own(name: str, data: Data, opened: DataSet, trained_by: str | None) -> ImageSet:
    """A split of the data, or its validation images with other labels."""
    if name == REAL:
        return _real(data, opened)
    split = opened.val if name == VAL else opened.test
    called = VAL if name == VAL else opened.test_split
    origin = "" if trained_by is None else f"the {called} split of {trained_by}'s own data"
    return ImageSet(called, f"{data.name}, {called}", split, opened.classes, origin=origin)


def _real(data: Data, opened: DataSet) -> ImageSet:
    split, labels = opened.val, imagenet.real_labels()
    names = [split.source.describe(int(index)) for index in split.indices]
    numbers = [imagenet.val_number(Path(name).name) for name in names]
    if None in numbers:
        raise ConfigError(
            f"sets=real knows validation images by their names, ILSVRC2012_val_00000001.JPEG and so on, and"
            f" {names[numbers.index(None)]} has none of these; pass data=imagenet data.root=<folder of the originals>"
        )
    return ImageSet(
        REAL, TITLES[REAL], split, opened.classes, allowed=tuple(labels[n] for n in numbers if n is not None)
    )


def _kin(name: str, request: Request, data: Data) -> ImageSet:
    """One of ImageNet's relatives, which have folders of their own."""
    synsets = imagenet_classes(imagenet.NUM_CLASSES)
    word = "v2" if name in V2 else name
    folder = _folder(name, word, request, data)
    among = imagenet.subset(name) if name in ("a", "r") else None
    # Those of V2 are named by the classes' numbers, whose order is not that of the names: 10 comes before 2.
    expected = tuple(map(str, range(len(synsets)))) if name in V2 else synsets
    possible = set(expected) if among is None else {synsets[label] for label in among}
    there = {path.name for path in layout.class_folders(folder)}
    if strange := sorted(there - possible):
        raise ConfigError(
            f"{folder} has folders that are none of the {len(possible)} classes of {name}: {', '.join(strange[:5])};"
            f" pass {word}=<folder with a folder a class>"
        )
    images = list_images(folder, expected, upright=data.upright)
    if not len(images):
        raise ConfigError(f"{folder} has no images in folders a class; pass {word}=<folder with a folder a class>")
    title = TITLES.get(name) or f"ImageNet-V2, {name.removeprefix('v2-')}"
    return ImageSet(name, title, Split(images, np.arange(len(images))), synsets, among=among)


def _folder(name: str, word: str, request: Request, data: Data) -> Path:
    """Where a set lies: where the user says, or below or beside the data."""
    given: Path | None = getattr(request, word)
    names = (V2[name],) if name in V2 else FOLDERS[name]
    if given is not None and name not in V2:
        return given
    if given is not None:
        places = [given]
    else:
        root = None if data.root is None else Path(data.root).absolute()
        places = [] if root is None else [root, root.parent]
    looked = [place / folder for place in places for folder in names]
    if given is not None and given.name in names:
        looked.insert(0, given)
    found = next((folder for folder in looked if folder.is_dir()), None)
    if found is None:
        where = (
            f"looked for {', '.join(map(str, looked))}" if looked else "data.root is not set, beside which it may lie"
        )
        raise ConfigError(f"sets={name} is not there; {where}; pass {word}=<folder>")
    return found
