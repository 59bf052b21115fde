"""What a data set made of class folders looks like on disk, read without opening an image.

Two layouts: ``root/<class>/…`` that we split, or ``root/train/<class>/…`` with ``val`` (or
``valid``, ``validation``) and ``test`` beside it, each optional.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def split_folder(root: str | Path, split: str) -> Path | None:
    """The folder below ``root`` that holds ``split`` (train, val or test); None if there is none."""
    return next((Path(root) / name for name in SPLIT_FOLDERS[split] if (Path(root) / name).is_dir()), None)


def class_folders(folder: Path) -> list[Path]:
    """The class folders of a split in the order of their labels; hidden ones are not classes."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def images_below(folder: Path) -> Iterator[Path]:
    """Image files at any depth below ``folder``, in an order that does not depend on the file system."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                yield Path(parent) / name


@lru_cache(maxsize=64)  # asked once a rule and once a job of a sweep; a run does not outlive its data
def class_names(root: str) -> tuple[str, ...]:
    """Names of the classes below ``root`` in the order of their labels; empty if there are none."""
    return tuple(path.name for path in class_folders(split_folder(root, "train") or Path(root)))


def folder_problems(root: str, *, need_splits: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield what keeps ``root`` from being a data set of class folders.

    Args:
        root: The folder that the user named.
        need_splits: Splits that must have a folder of their own, such as ImageNet's train and val.
    """
    if not Path(root).is_dir():
        kind = "is a file" if Path(root).exists() else "does not exist"
        yield f"data.root={root} {kind}; it must be a folder; pass data.root=<folder with one folder a class>"
        return
    for split in need_splits:
        if split_folder(root, split) is None:
            wanted = " and ".join(need_splits)
            yield f"data.root={root} has no folder {split}/; pass data.root=<folder that holds {wanted}>"
    # Where splits are prescribed, others are none of our business: ImageNet's test/ has no classes.
    present = {split: split_folder(root, split) for split in (need_splits or SPLIT_FOLDERS)}
    if present["train"] is None and not need_splits:
        present = {"all": Path(root)}
    expected = class_names(root)
    for folder in present.values():
        if folder is not None:
            yield from _split_problems(folder, expected)


def _split_problems(folder: Path, expected: tuple[str, ...]) -> Iterator[str]:
    classes = class_folders(folder)
    if len(classes) < 2:
        yield f"{folder} has {len(classes)} class folders; at least 2 are needed, one folder a class"
    if strange := sorted({path.name for path in classes} - set(expected)):
        yield f"{folder} has classes that train has not: {', '.join(strange[:5])}; remove or rename these folders"
    if empty := [path.name for path in classes if next(images_below(path), None) is None]:
        yield (
            f"{folder} has class folders without an image: {', '.join(empty[:5])}"
            f"{f' and {len(empty) - 5} more' if len(empty) > 5 else ''}; possible: {' '.join(sorted(IMAGE_SUFFIXES))};"
            " add images or remove the folders"
        )
