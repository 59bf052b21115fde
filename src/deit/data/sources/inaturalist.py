"""iNaturalist 2018 and 2019, from the files of the competitions, as the official code reads them."""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from deit.config.errors import ConfigError
from deit.config.material import Data, DataKind
from deit.config.published import ANNOTATIONS, root_of
from deit.data.sources.base import Parts
from deit.data.sources.files import ImageFiles


def read_inaturalist(data: Data) -> Parts:
    """Train and val of ``data.root``; val is what is tested on, the test labels were never published.

    Classes are the species: the categories of the annotations, in the order of their numbers.

    Raises:
        ConfigError: An annotation file is missing or is none, or names an image outside ``data.root``.
    """
    if data.download:
        raise ConfigError(
            f"data={data.kind.value} is hundreds of gigabytes and is not downloaded here; pass data.root=<folder with"
            f" {' and '.join(ANNOTATIONS[data.kind])} and the images> data.download=false"
        )
    root = root_of(data)
    train, val = (_annotations(root / name, data.kind) for name in ANNOTATIONS[data.kind])
    names = {int(entry["id"]): str(entry["name"]) for entry in train["categories"]}
    labels = {category: label for label, category in enumerate(sorted(names))}
    classes = tuple(names[category] for category in sorted(names))
    return Parts(classes, _images(root, train, labels), val=_images(root, val, labels))


def _annotations(path: Path, kind: DataKind) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        complete = all(isinstance(content[key], list) for key in ("images", "annotations", "categories"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read as the annotations of data={kind.value} ({type(error).__name__}: {error}); pass"
            f" data.root=<folder with {' and '.join(ANNOTATIONS[kind])}>"
        ) from None
    if not complete:
        raise ConfigError(f"{path} has no lists of images, annotations and categories; fetch it anew")
    return content


def _images(root: Path, content: dict[str, Any], labels: dict[int, int]) -> ImageFiles:
    category = {int(entry["image_id"]): int(entry["category_id"]) for entry in content["annotations"]}
    listed = [(str(entry["file_name"]), category[int(entry["id"])]) for entry in content["images"]]
    _stay_inside(root, (name for name, _ in listed))
    paths = [str(root / name) for name, _ in listed]
    return ImageFiles(paths, np.array([labels[number] for _, number in listed], dtype=np.int64))


def _stay_inside(root: Path, names: Iterable[str]) -> None:
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"the annotations in {root} name the image {name}, which is outside; fetch them anew")
