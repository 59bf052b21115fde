"""Data sets made of class folders: ImageNet, and any tree of the user's."""

from pathlib import Path

import numpy as np

from deit.config import layout
from deit.config.errors import ConfigError
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
    parts = {split: _split(data, root, split, classes) for split in splits}
    return Parts(classes, parts.get("train", ImageFiles([], np.array([], dtype=np.int64))), val=parts["val"])


def read_folder(data: Data) -> Parts:
    """``data.root`` with train/ and, where they exist, val/ and test/; or one tree of class folders.

    Raises:
        ConfigError: ``data.root`` is missing or is no data set of class folders.
    """
    root = _checked_root(data)
    classes = layout.class_names(root)
    held_out = {
        split: _split(data, root, split, classes) for split in ("val", "test") if layout.split_folder(root, split)
    }
    if layout.split_folder(root, "train") is not None:
        return Parts(classes, _split(data, root, "train", classes), **held_out)
    if held_out:
        raise ConfigError(
            f"data.root={root} has {' and '.join(held_out)} but no train; add train/<class>/ beside it,"
            " or pass data.root=<folder with one folder a class>"
        )
    return Parts(classes, list_images(Path(root), classes, upright=data.upright))


def list_images(folder: Path, classes: tuple[str, ...], *, upright: bool) -> ImageFiles:
    """All images below ``folder/<class>``, labelled by the position of ``<class>`` in ``classes``.

    A class without a folder has no images here: a val split may cover fewer classes than train.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = [str(path) for path in layout.images_below(folder / name)]
        paths += found
        labels += [label] * len(found)
    return ImageFiles(paths, np.array(labels, dtype=np.int64), upright=upright)


def _split(data: Data, root: str, split: str, classes: tuple[str, ...]) -> ImageFiles:
    folder = layout.split_folder(root, split)
    assert folder is not None, f"{root} has no {split}; _checked_root or the caller should have said so"
    return list_images(folder, classes, upright=data.upright)


def _checked_root(data: Data, need_splits: tuple[str, ...] = ()) -> str:
    if data.root is None:
        kind = data.kind.value
        raise ConfigError(f"data={kind} reads images from a folder and data.root is not set; pass data.root=<folder>")
    if problems := list(layout.folder_problems(data.root, need_splits=need_splits)):
        raise ConfigError.of(problems)
    return data.root
