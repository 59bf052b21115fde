"""iNaturalist 2018 and 2019, from the files of the competitions, as the official code reads them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from deit.config.errors import ConfigError
from deit.config.material import Data, DataKind
from deit.config.published import ANNOTATIONS, download_problems, root_of
from deit.data.containment import refuse_paths_outside
from deit.data.sources.base import Parts
from deit.data.sources.files import ImageFiles


def read_inaturalist(data: Data) -> Parts:
    """Train and val of ``data.root``; val is what is tested on, the test labels were never published.

    Classes are the species: the categories of the annotations, in the order of their numbers.

    Raises:
        ConfigError: An annotation file is missing or is none, or names an image outside ``data.root``.
    """
    if refused := list(download_problems(data)):
        raise ConfigError.of(refused)
    root = root_of(data)
    train, val = (root / name for name in ANNOTATIONS[data.kind])
    with _named(train, data.kind):
        content = json.loads(train.read_text(encoding="utf-8"))
        names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        labels = {category: label for label, category in enumerate(sorted(names))}
        trained_on = _images(root, content, labels, upright=data.upright)
    with _named(val, data.kind):
        tested_on = _images(root, json.loads(val.read_text(encoding="utf-8")), labels, upright=data.upright)
    return Parts(tuple(names[category] for category in sorted(names)), trained_on, val=tested_on)


@contextmanager
def _named(path: Path, kind: DataKind) -> Iterator[None]:
    """Tell what is wrong with the contents of ``path`` as a ConfigError that names it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read as the annotations of data={kind.value} ({type(error).__name__}: {error}); pass"
            f" data.root=<folder with {' and '.join(ANNOTATIONS[kind])}>"
        ) from None


def _images(root: Path, content: dict[str, Any], labels: dict[int, int], *, upright: bool) -> ImageFiles:
    category = {int(entry["image_id"]): int(entry["category_id"]) for entry in content["annotations"]}
    listed = [(str(entry["file_name"]), category[int(entry["id"])]) for entry in content["images"]]
    paths = [str(root / name) for name, _ in listed]
    refuse_paths_outside(root, paths, f"an annotation file in {root}")
    numbers = np.array([labels[number] for _, number in listed], dtype=np.int64)
    return ImageFiles(paths, numbers, upright=upright, folders=len(os.fsencode(root)))
