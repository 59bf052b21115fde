"""Images of the user's own that no network was trained on. All are measured, labelled by the names of their classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deit.assessment.subjects import Subject
from deit.config import layout
from deit.config.errors import ConfigError, nearest
from deit.config.material import Data, DataKind
from deit.data.sources import READERS, ImageSource, Split
from deit.data.sources.folders import list_images

NAMED = 5  # classes that a message lists


class NewImages(NamedTuple):
    """Images and where they were found."""

    split: Split
    """All of them; labels are positions in the network's classes."""
    origin: str


def open_new(name: str, data: Data, subject: Subject) -> NewImages:
    """Open all images of ``data``: those of its split ``name``, else of the whole.

    Args:
        name: ``test`` or ``val``.
        data: Where the images are, data=folder or data=hf.
        subject: The network, which brings its classes along.

    Raises:
        ConfigError: If there are no images, or some are of classes that the network does not know.
    """
    found = _of_folder(name, data, subject) if data.kind is DataKind.folder else _of_table(name, data)
    source, classes, place = found
    if not len(source):
        raise ConfigError(f"{place} must have images in folders named after their classes, got none.")
    source.labels = _positions(place, classes, set(source.labels.tolist()), subject)[source.labels]
    return NewImages(Split(source, np.arange(len(source), dtype=np.int64)), f"all of {place}")


def _of_folder(name: str, data: Data, subject: Subject) -> tuple[ImageSource, Sequence[str], str]:
    """Return images labelled by position among the classes that are there, these classes, and their folder."""
    assert data.root is not None, "the rules refuse data=folder without a folder"
    folder = _place(name, Path(data.root), set(subject.trained.classes))
    classes = tuple(path.name for path in layout.class_folders(folder))
    if not classes:
        raise ConfigError(
            f"{folder} must hold a folder per class, because the labels are the folders' names, got none. Pass"
            " data.root=<folder with one folder a class>, or use src/predict.py for images without labels."
        )
    return list_images(folder, classes, upright=data.upright), classes, str(folder)


def _place(name: str, root: Path, known: set[str]) -> Path:
    """Return the folder that holds the class folders to measure: that of a split of ``root``, or ``root`` itself."""
    found = {split: place for split in ("test", "val", "train") if (place := layout.split_folder(root, split))}
    # A class may be called like a split: a split has folders of classes in it.
    splits = {split: place for split, place in found.items() if place.name not in known or _has_classes(place, known)}
    beside = [path.name for path in layout.class_folders(root) if path.name in known and path not in splits.values()]
    if splits and beside:
        raise ConfigError(
            f"data.root must hold splits or classes, got {', '.join(place.name for place in splits.values())} beside"
            f" {', '.join(beside[:NAMED])}. Pass data.root={next(iter(splits.values()))}, or move them apart."
        )
    if name == "val" and "val" not in splits:
        raise ConfigError(f"sets=val must name a split of the data, and {root} has no val/. Pass sets=test.")
    return splits["val"] if name == "val" else next(iter(splits.values()), root)


def _has_classes(folder: Path, known: set[str]) -> bool:
    return any(path.name in known for path in layout.class_folders(folder))


def _of_table(name: str, data: Data) -> tuple[ImageSource, Sequence[str], str]:
    parts = READERS[data.kind](data)
    if name == "val" and parts.val is None:
        raise ConfigError(f"sets=val must name a split of the data, and {data.path} has no val. Pass sets=test.")
    by_name = {"test": parts.test, "val": parts.val, "train": parts.train}
    chosen = next(split for split, source in by_name.items() if source is not None and name in (split, "test"))
    source = by_name[chosen]
    assert source is not None, "chosen among those that are there"
    return source, parts.classes, f"{data.path} ({chosen})"


def _positions(place: str, there: Sequence[str], used: set[int], subject: Subject) -> NDArray[np.int64]:
    """Return the position of each class of ``there`` in the network's classes; -1 for one that it does not know.

    Raises:
        ConfigError: If one of the ``used`` classes, which have images, is not known.
    """
    known = subject.trained.classes
    if subject.is_unnamed:
        if len(there) == len(known):
            return np.arange(len(there))
        raise ConfigError(
            f"{place} must have {len(known)} classes, because {subject.source} numbers its classes and does not name"
            f" them, got {len(there)}. Pass data with a folder for each class, in the order of the numbers."
        )
    if strange := [name for label, name in enumerate(there) if label in used and name not in known]:
        guess = nearest(strange[0], known)
        meant = f" (did you mean {guess}?)" if guess is not None else ""
        more = f" and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
        raise ConfigError(
            f"{place} must have classes that {subject.source} knows ({', '.join(known[:NAMED])}"
            f"{', …' if len(known) > NAMED else ''}), got {', '.join(strange[:NAMED])}{more}{meant}. Rename or remove"
            " them, or pass the data that it was trained for."
        )
    return np.array([known.index(name) if name in known else -1 for name in there], dtype=np.int64)
