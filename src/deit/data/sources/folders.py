"""Data sets made of class folders: ImageNet, and any tree of the user's."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from deit.config import layout
from deit.config.errors import ConfigError, visible
from deit.config.image_files import images_of
from deit.config.layout_problems import folder_problems
from deit.config.material import Data
from deit.data.sources.base import Parts
from deit.data.sources.files import ImageFiles


def read_imagenet(data: Data, *, trains: bool = True) -> Parts:
    """``data.root`` with train/ and val/; val is what is tested on, the test labels were never published.

    Args:
        data: Where it lies.
        trains: False: train/ need not be there and has no images, for its 1.3 million take their time to list.

    Raises:
        ConfigError: The folders are not there, or no class folders.
    """
    splits = layout.imagenet_splits(trains=trains)
    root = _checked_root(data, need_splits=splits)
    classes = layout.class_names(root, ("train", *splits))
    there = layout.split_folders(root)
    parts = list_splits({split: there[split] for split in splits}, classes, upright=data.upright)
    return Parts(classes, parts.get("train", ImageFiles([], np.array([], dtype=np.int64))), val=parts["val"])


def read_folder(data: Data) -> Parts:
    """``data.root`` with train/ and, where they exist, val/ and test/; or one tree of class folders.

    Raises:
        ConfigError: ``data.root`` is missing or is no data set of class folders.
    """
    root = _checked_root(data)
    classes = layout.class_names(root)
    splits = layout.split_folders(root)
    assert not splits or "train" in splits, f"{root} has {', '.join(splits)} but no train, which is a problem"
    parts = list_splits(splits or {"train": Path(root)}, classes, upright=data.upright)
    train = parts.pop("train")
    empty = np.flatnonzero(np.bincount(train.labels, minlength=len(classes)) == 0)
    if len(empty):
        raise ConfigError(
            f"{visible(root)} must have images of its own in each class, got none in {visible(classes[empty[0]])}:"
            " links lead to folders of other classes. Remove them, or remove the class."
        )
    return Parts(classes, train, **parts)


def list_images(folder: Path, classes: tuple[str, ...], *, upright: bool) -> ImageFiles:
    """All images below ``folder/<class>``, labelled by the position of ``<class>`` in ``classes``.

    A class without a folder has no images here: a val split may cover fewer classes than train.
    """
    return list_splits({"all": folder}, classes, upright=upright)["all"]


def list_splits(folders: Mapping[str, Path], classes: tuple[str, ...], *, upright: bool) -> dict[str, ImageFiles]:
    """The images of several splits as `list_images` has them, in one walk: no link leads from one into another.

    folders: By split.
    """
    tops = [folder / name for folder in folders.values() for name in classes]
    walked, number = list(zip(tops, images_of(tops), strict=True)), len(classes)
    parts = (walked[start : start + number] for start in range(0, len(walked), number))
    return {split: _labelled(part, upright=upright) for split, part in zip(folders, parts, strict=True)}


def _labelled(found: Iterable[tuple[Path, list[str]]], *, upright: bool) -> ImageFiles:
    """The files of a split from those of each class folder, in the order of the labels."""
    paths: list[str] = []
    labels: list[int] = []
    folders: list[int] = []
    for label, (folder, files) in enumerate(found):
        paths += files
        labels += [label] * len(files)
        folders += [len(os.fsencode(folder))] * len(files)
    return ImageFiles(paths, np.array(labels, dtype=np.int64), upright=upright, folders=folders)


def _checked_root(data: Data, need_splits: tuple[str, ...] = ()) -> str:
    if data.root is None:
        kind = data.kind.value
        raise ConfigError(f"data={kind} reads images from a folder and data.root is not set; pass data.root=<folder>")
    if problems := list(folder_problems(data.root, need_splits=need_splits)):
        raise ConfigError.of(problems)
    return data.root
