"""Data sets made of class folders as they lie on disk, read without opening an image.

Two layouts: ``root/<class>/…`` that we split, or ``root/train/<class>/…`` with val and test beside it, each optional
and each under one of its usual names. A folder is a split only if nothing speaks against it: `split_folders`.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from deit.config.image_files import holds_images, images_in, subfolders
from deit.config.split_names import WORDS, splits_named

SPLITS = tuple(WORDS)


def imagenet_splits(*, trains: bool) -> tuple[str, ...]:
    """Return the splits that must have a folder below ImageNet's root: to measure on it, val is enough."""
    return ("train", "val") if trains else ("val",)


def split_folders(root: str | Path) -> dict[str, Path]:
    """Return the folders below ``root`` that hold a split, by train, val and test; none if they are the classes.

    A folder that is called like a split is a class where images lie directly in it and other class folders lie beside
    it: cars, planes and trains may be in car/, plane/ and train/.
    """
    named, others = folders_by_name(root)
    if named and _are_classes(named, others):
        return {}
    return {split: folders[0] for split, folders in named.items()}


def split_folder(root: str | Path, split: str) -> Path | None:
    """Return the folder below ``root`` that holds ``split`` (train, val or test), or None."""
    return split_folders(root).get(split)


def folders_by_name(root: str | Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the folders of ``root`` that are called like each split, those with images first, and the others."""
    folders = subfolders(Path(root))
    names = splits_named([path.name for path in folders])
    named = {split: [path for path in folders if names.get(path.name) == split] for split in SPLITS}
    others = [path for path in folders if path.name not in names]
    return {s: sorted(found, key=lambda path: not holds_images(path)) for s, found in named.items() if found}, others


def _are_classes(named: dict[str, list[Path]], others: Sequence[Path]) -> bool:
    """Return True if folders that are called like splits are classes as those beside them."""
    every = [path for found in named.values() for path in found]
    return all(images_in(path) and not holds_classes(path) for path in every) and any(map(holds_images, others))


def holds_classes(folder: Path) -> bool:
    """Return True if a folder in ``folder`` has images below it."""
    return any(holds_images(path) for path in subfolders(folder))


def class_folders(folder: Path) -> list[Path]:
    """Return the class folders of a split in the order of their labels; hidden ones are not classes."""
    return subfolders(folder)


@lru_cache(maxsize=64)  # asked once a rule and once a job of a sweep; a run does not outlive its data
def class_names(root: str, splits: tuple[str, ...] = ("train",)) -> tuple[str, ...]:
    """Return the class names in the order of labels, of the first of ``splits`` that is there, else of ``root``."""
    there = split_folders(root)
    folder = next((there[split] for split in splits if split in there), Path(root))
    return tuple(path.name for path in class_folders(folder))
