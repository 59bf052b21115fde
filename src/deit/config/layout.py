"""What a data set made of class folders looks like on disk, read without opening an image.

Two layouts: ``root/<class>/…`` that we split, or ``root/train/<class>/…`` with ``val`` (or
``valid``, ``validation``) and ``test`` beside it, each optional.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
UNPACK = {
    ".zip": "unzip {file} -d {folder}",
    ".tar": "mkdir {folder} && tar xf {file} -C {folder}",
    ".tgz": "mkdir {folder} && tar xf {file} -C {folder}",
    ".7z": "7z x {file} -o{folder}",
}
"""How archives become folders."""
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def imagenet_splits(*, trains: bool) -> tuple[str, ...]:
    """The splits that must have a folder below ImageNet's root: to measure on it, its validation images will do."""
    return ("train", "val") if trains else ("val",)


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


def other_files(folder: Path) -> Counter[str]:
    """Files below ``folder`` that are not taken for images, counted by their suffix."""
    names = itertools.chain.from_iterable(files for _, _, files in os.walk(folder, followlinks=True))
    suffixes = Counter(Path(name).suffix.lower() or "without a suffix" for name in names if not name.startswith("."))
    return Counter({suffix: count for suffix, count in suffixes.items() if suffix not in IMAGE_SUFFIXES})


@lru_cache(maxsize=64)  # asked once a rule and once a job of a sweep; a run does not outlive its data
def class_names(root: str, splits: tuple[str, ...] = ("train",)) -> tuple[str, ...]:
    """Names of the classes in the order of their labels, of the first of ``splits`` that is there, else of ``root``."""
    folders = (split_folder(root, split) for split in splits)
    return tuple(path.name for path in class_folders(next(filter(None, folders), Path(root))))


def folder_problems(root: str, *, need_splits: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield what keeps ``root`` from being a data set of class folders.

    Args:
        root: The folder that the user named.
        need_splits: Splits that must have a folder of their own, such as ImageNet's train and val.
    """
    if not Path(root).is_dir():
        yield f"data.root={root} {_no_folder(Path(root))}"
        return
    for split in need_splits:
        if split_folder(root, split) is None:
            wanted = " and ".join(need_splits)
            yield f"data.root={root} has no folder {split}/; pass data.root=<folder that holds {wanted}>"
    # Where splits are prescribed, others are none of our business: ImageNet's test/ has no classes.
    present = {split: split_folder(root, split) for split in (need_splits or SPLIT_FOLDERS)}
    if not need_splits and present["train"] is None:
        present = {"all": Path(root)}
    expected = class_names(root, ("train", *need_splits))
    for folder in present.values():
        if folder is not None:
            yield from _split_problems(folder, expected)


def _no_folder(path: Path) -> str:
    kind = "is a file" if path.exists() else "does not exist"
    unpack = UNPACK.get(path.suffix.lower()) if path.is_file() else None
    first = "" if unpack is None else f"type {unpack.format(file=path, folder=path.with_suffix(''))} and "
    return f"{kind}; it must be a folder; {first}pass data.root=<folder with one folder a class>"


def _split_problems(folder: Path, expected: tuple[str, ...]) -> Iterator[str]:
    classes = class_folders(folder)
    if len(classes) < 2:
        yield f"{folder} has {len(classes)} class folders; at least 2 are needed, one folder a class{_hint(folder)}"
    if strange := sorted({path.name for path in classes} - set(expected)):
        yield f"{folder} has classes that train has not: {', '.join(strange[:5])}; remove or rename these folders"
    empty = [path.name for path in classes if next(images_below(path), None) is None]
    if empty:
        yield (
            f"{folder} has class folders without an image: {', '.join(empty[:5])}"
            f"{f' and {len(empty) - 5} more' if len(empty) > 5 else ''}; possible: {' '.join(sorted(IMAGE_SUFFIXES))};"
            f" add images or remove the folders{_conversion(folder)}"
        )


def _hint(folder: Path) -> str:
    """What to do about a folder with too few class folders, by what lies there instead."""
    classes = class_folders(folder)
    loose = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if len(classes) == 1 and len(class_folders(classes[0])) > 1:
        names = ", ".join(path.name for path in class_folders(classes[0])[:3])
        return f"; {classes[0]} has folders ({names} …): if these are the classes, pass data.root={classes[0]}"
    if loose:
        move = f"type mkdir {folder}/cat {folder}/dog, if cats and dogs it is, and move each image into one"
        return f"; {len(loose)} images lie in {folder} itself, of no class: {move}"
    return f"; {classes[0].name} alone leaves nothing to tell apart" if classes else ""


def _conversion(folder: Path) -> str:
    """What to type where photographs are of a form that cannot be read here, as telephones write them."""
    heic = sum(count for suffix, count in other_files(folder).items() if suffix in (".heic", ".heif"))
    if not heic:
        return ""
    return (
        f"; {heic} files are HEIC, which is not read: type find {folder} -iname '*.hei[cf]' -execdir heif-convert {{}}"
        f" {{}}.jpg \\; (Debian's package libheif-examples)"
    )
