"""ImageNet in the forms in which it is downloaded, and the commands that make folders of them.

The originals are archives of archives, with validation images in one folder and their labels in a development kit;
Kaggle's archive has the labels in a table; the Hub's are parquet files; others come as shards or as a zip archive.
"""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from deit.config.errors import in_shell, visible
from deit.config.image_files import is_image, is_passed_over
from deit.config.split_names import split_named

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
KITS = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar")
KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
KAGGLE_LABELS = "LOC_val_solution.csv"
TINY_LABELS = "val_annotations.txt"
VAL_IMAGE = "ILSVRC2012_val_"
LOOKED_AT = 64  # entries of a folder: what it holds shows in the first ones
NESTED = 3  # folders below what was named in which the splits are looked for


def problem(root: Path, splits: tuple[str, ...]) -> str | None:
    """Return what is to be done about ``root`` before it can be read as ImageNet, or None where nothing is known.

    Args:
        root: The folder, or archive, that the user named.
        splits: Those that must have a folder with class folders.
    """
    steps = list(_steps(root, splits))
    if not steps:
        return None
    first = f"data.root={visible(root)} must be a folder with {' and '.join(f'{split}/<class>/' for split in splits)}"
    return f"{first}, got {steps[0]}. {steps[1][0].upper()}{' Then '.join(steps[1:])[1:]}"


def _steps(root: Path, splits: tuple[str, ...]) -> Iterator[str]:
    """Yield what was found, then a sentence for each step; nothing if no form is known."""
    if root.is_file():
        yield from _archive(root)
    elif not root.is_dir() or all(_is_sorted(root, split) for split in splits):
        return
    elif (place := next((root / below for below in KAGGLE if (root / below).is_dir()), None)) is not None:
        yield f"Kaggle's download, which has them in {place.relative_to(root)}"
        yield from _sorting(place, splits)
        yield f"pass data.root={visible(place)}."
    elif (inner := _inner(root, splits)) is not None:
        yield from ("a folder around it", f"pass data.root={visible(inner)}.")
    elif _is_train(root):
        where = visible(root.absolute().parent)
        yield from ("the class folders of train", f"pass data.root={where}, with val/<class>/ beside {root.name}/.")
    else:
        yield from _sorting_steps(root, splits) or _shards(root)


def _archive(file: Path) -> Iterator[str]:
    name = file.name.lower()
    folder = file.absolute().parent
    if file.name in (TRAIN_TAR, VAL_TAR, *KITS):
        yield from _sorting_steps(folder, ("train", "val"))
        yield f"pass data.root={visible(folder)}."
    elif name.endswith(".zip"):
        place = file.with_suffix("")
        yield from (
            "a zip archive",
            f"type unzip {in_shell(file)} -d {in_shell(place)} and pass data.root={visible(place)}.",
        )


def _sorting_steps(root: Path, splits: tuple[str, ...]) -> list[str]:
    steps = list(_sorting(root, splits))
    return (
        [f"it as it is downloaded ({', '.join(_seen(root)) or 'images without class folders'})", *steps]
        if steps
        else []
    )


def _seen(root: Path) -> list[str]:
    names = (TRAIN_TAR, VAL_TAR, *KITS, KAGGLE_LABELS)
    found = [name for name in names if (root / name).is_file()]
    return found + [f"{folder.name}/ of {what}" for folder, what in _unsorted(root)]


def _unsorted(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders below ``root`` whose contents are yet to be sorted, and what these are."""
    for folder in [root, *_folders(root)]:
        names = _beginning(folder)
        if any(_is_class_archive(name) for name in names):
            yield folder, "archives of classes"
        elif any(name.startswith(VAL_IMAGE) for name in names):
            yield folder, "validation images"


def _sorting(root: Path, splits: tuple[str, ...]) -> Iterator[str]:
    """Yield the steps that make ``root``'s train/<class>/ and val/<class>/ of what is there."""
    place = in_shell(root)
    has_kit = any((root / kit).is_file() for kit in KITS)
    unsorted = dict(_unsorted(root))
    flat = next((folder for folder, what in unsorted.items() if what == "validation images"), None)
    classes = next((folder for folder, what in unsorted.items() if what == "archives of classes"), None)
    if "train" in splits and not _is_sorted(root, "train"):
        if (root / TRAIN_TAR).is_file() and has_kit:
            yield f"type {_torchvision(root, 'train')}."
        elif (root / TRAIN_TAR).is_file():
            unpack = f"mkdir -p {place}/train && tar xf {place}/{TRAIN_TAR} -C {place}/train"
            yield f"type {unpack} && {_classes(place + '/train')}."
        elif classes is not None:
            moved = "" if classes.name == "train" else f" && mv {in_shell(classes)} {place}/train"
            yield f"type {_classes(in_shell(classes))}{moved if classes != root else ''}."
    if _is_sorted(root, "val"):
        return
    if (root / VAL_TAR).is_file() and has_kit and flat is None:
        yield f"type {_torchvision(root, 'val')}."
    elif flat is None and (root / VAL_TAR).is_file():
        yield f"type mkdir -p {place}/val && tar xf {place}/{VAL_TAR} -C {place}/val."
        yield _labels(root, root / "val")
    elif flat is not None:
        yield _labels(root, flat)


def _torchvision(root: Path, split: str) -> str:
    code = f"from torchvision.datasets import ImageNet; ImageNet({visible(root)!r}, {split!r})"
    return f"python -c {shlex.quote(code)}"


def _classes(folder: str) -> str:
    """Return the command that unpacks the archives of classes in ``folder``."""
    return (
        f'(cd {folder} && for t in n*.tar; do mkdir -p "${{t%.tar}}" && tar xf "$t" -C "${{t%.tar}}" && rm "$t"; done)'
    )


def _labels(root: Path, flat: Path) -> str:
    """Return the step that sorts validation images into class folders, by whichever list of labels is there."""
    val = in_shell(root / "val")
    moved = "" if flat in (root / "val", root) else f"mv {in_shell(flat)} {val} && "
    source = val if flat != root else in_shell(root)
    table = next((p / KAGGLE_LABELS for p in (root, *root.absolute().parents) if (p / KAGGLE_LABELS).is_file()), None)
    if table is not None:
        return (
            f"type {moved}tail -n +2 {in_shell(table)} | while IFS=', ' read -r image class rest; do mkdir -p"
            f' {val}/"$class" && mv {source}/"$image".JPEG {val}/"$class"/; done.'
        )
    if any((root / kit).is_file() for kit in KITS):
        name = f"{VAL_IMAGE}{{n:08d}}.JPEG"
        code = (
            f"import os; from torchvision.datasets import imagenet as i; i.parse_devkit_archive({visible(root)!r});"
            f" [os.renames(f{visible(flat / name)!r}, f{visible(root / 'val' / '{c}' / name)!r})"
            f" for n, c in enumerate(i.load_meta_file({visible(root)!r})[1], 1)]"
        )
        return f"type python -c {shlex.quote(code)}."
    return (
        f"put the labels of the validation images into {visible(root)}, either {KITS[0]} (image-net.org) or Kaggle's"
        f" {KAGGLE_LABELS}, and type the same command again: it says how to sort {visible(flat)} by them."
    )


def _shards(root: Path) -> list[str]:
    """Return what to do about tables and shards, which data=hf reads, and about other archives."""
    files = [(place, name) for place in (root, *_folders(root)) for name in _beginning(place)]
    names = [name for _, name in files]
    instead = f"Pass data=hf data.path={visible(root)} data.num_classes=1000 data.upright=false"
    if any(name.endswith((".parquet", ".arrow")) for name in names):
        return ["tables (parquet or Arrow files)", f"{instead} in place of data=imagenet and data.root."]
    if any(re.match(r"(train|val)_images.*\.tar", name) for name in names):
        return ["the Hub's archives, whose files are named after their classes", f"type {_unpack_hub(in_shell(root))}."]
    shards = [name for name in names if name.endswith(".tar") and not _is_class_archive(name)]
    if shards and TRAIN_TAR not in shards and VAL_TAR not in shards:
        columns = "data.image_column=jpg data.label_column=cls"
        return [
            f"shards in the form of WebDataset ({visible(shards[0])} …)",
            f"{instead} {columns} in place of data=imagenet and data.root.",
        ]
    if any(name.endswith(".tfrecord") or re.search(r"-of-\d+$", name) for name in names):
        way_out = "Download the originals from image-net.org or Kaggle, or the parquet files of the Hub (imagenet-1k)."
        return ["TFRecord files, which are not read here", way_out]
    zips = [place / name for place, name in files if name.endswith(".zip")]
    if zips:
        return ["a zip archive", f"type unzip {in_shell(zips[0])} -d {in_shell(root)} and the same command again."]
    return []


def _unpack_hub(place: str) -> str:
    """Return the command for archives of files such as n01440764_10026_n01440764.JPEG, which end in their class."""
    sort = 'c="${f##*_}"; mkdir -p "${c%.JPEG}" && mv "$f" "${c%.JPEG}"/'
    return (
        f'for s in train val; do mkdir -p {place}/$s; find {place} -name "${{s}}_images*.tar*" -exec tar xf {{}} -C'
        f" {place}/$s \\;; (cd {place}/$s && find . -maxdepth 1 -name '*_n*.JPEG' | while read -r f; do {sort}; done);"
        " done"
    )


def _inner(root: Path, splits: tuple[str, ...]) -> Path | None:
    """Return the folder below ``root``, some levels down, that has the splits as they are to be."""
    level = [root]
    for _ in range(NESTED):
        level = [folder for one in level for folder in itertools.islice(_folders(one), LOOKED_AT)]
        if found := next((one for one in level if all(_is_sorted(one, split) for split in splits)), None):
            return found
    return None


def _is_sorted(root: Path, split: str) -> bool:
    """Return True if ``root`` has class folders of ``split``, whether or not all of them."""
    for folder in _folders(root):
        if split_named(folder.name) == split:
            names = _beginning(folder)
            return not any(_is_class_archive(name) or is_image(name) for name in names) and any(
                True for _ in _folders(folder)
            )
    return False


def _is_train(root: Path) -> bool:
    names = [folder.name for folder in itertools.islice(_folders(root), LOOKED_AT)]
    return len(names) > 1 and all(_is_synset(name) for name in names)


def _is_synset(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdecimal()


def _is_class_archive(name: str) -> bool:
    return name.endswith(".tar") and _is_synset(name[:-4])


def _folders(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.iterdir()) if path.is_dir() and not is_passed_over(path.name))


def _beginning(folder: Path) -> list[str]:
    """Return the names of a few files that lie in ``folder``."""
    return [path.name for path in itertools.islice((p for p in folder.iterdir() if not p.is_dir()), LOOKED_AT)]


def is_tiny_imagenet(folder: Path) -> bool:
    """Return True for the validation images of Tiny ImageNet as they are unpacked."""
    return (folder / TINY_LABELS).is_file() and (folder / "images").is_dir()


def sort_tiny_imagenet(folder: Path) -> str:
    """Return what sorts the validation images of Tiny ImageNet into class folders."""
    place = in_shell(folder)
    return (
        f'type while read -r image class rest; do mkdir -p {place}/"$class" && mv {place}/images/"$image"'
        f' {place}/"$class"/; done < {place}/{TINY_LABELS} && rmdir {place}/images'
    )
