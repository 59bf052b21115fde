"""CIFAR-10, CIFAR-100, Flowers-102 and Stanford Cars in the layouts that torchvision reads and downloads.

torchvision is imported where it is used: loader processes import this package and not torchvision.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from deit.config.errors import ConfigError
from deit.config.material import Data, DataKind
from deit.config.published import FOLDERS, NOT_FETCHED, download_problems, root_of
from deit.data.containment import refuse_paths_outside
from deit.data.sources.arrays import ArrayImages
from deit.data.sources.base import Parts, missing_files
from deit.data.sources.files import ImageFiles

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10, Flowers102

Opened = TypeVar("Opened")


def read_cifar(data: Data) -> Parts:
    """CIFAR-10 or -100: 50,000 images to train on, 10,000 to test on, 32 x 32 pixels.

    Raises:
        ConfigError: The files are missing or damaged and may not, or cannot, be fetched.
    """
    root = _root(data)
    from torchvision.datasets import CIFAR10, CIFAR100

    opener = CIFAR10 if data.kind is DataKind.cifar10 else CIFAR100
    train = _opened(data, lambda: opener(root, train=True, download=data.download))
    test = _opened(data, lambda: opener(root, train=False))
    return Parts(tuple(train.classes), _pixels(data, "train", train), test=_pixels(data, "test", test))


def read_flowers(data: Data) -> Parts:
    """Flowers-102 with its own train, val and test: 1,020 + 1,020 + 6,149 photographs.

    Raises:
        ConfigError: The files are missing or damaged and may not, or cannot, be fetched.
    """
    root = _root(data)
    from torchvision.datasets import Flowers102

    def part(split: str) -> ImageFiles:
        opened = _opened(data, lambda: Flowers102(root, split=split, download=data.download))
        return _photographs(opened, root, upright=data.upright)

    return Parts(tuple(Flowers102.classes), part("train"), val=part("val"), test=part("test"))


def read_cars(data: Data) -> Parts:
    """Stanford Cars: 8,144 photographs to train on, 8,041 to test on.

    Raises:
        ConfigError: The files are missing or damaged, or were to be fetched: their publisher has taken them down.
    """
    if refused := list(download_problems(data)):
        raise ConfigError.of(refused)
    root = _root(data)
    from torchvision.datasets import StanfordCars

    def part(split: str) -> tuple[ImageFiles, tuple[str, ...]]:
        opened = _opened(data, lambda: StanfordCars(root, split=split))
        paths, labels = zip(*opened._samples, strict=True)  # a private list: see _photographs
        refuse_paths_outside(root / FOLDERS[data.kind], paths, "an annotation file of data=cars")
        numbers = np.array(labels, dtype=np.int64)
        return ImageFiles(paths, numbers, upright=data.upright, folders=len(os.fsencode(root))), tuple(opened.classes)

    train, classes = part("train")
    return Parts(classes, train, test=part("test")[0])


def _root(data: Data) -> Path:
    """Where the set's folder lies or is to be put; refuses here, before a slow import, if there is none."""
    root = root_of(data)
    if not data.download and not (root / FOLDERS[data.kind]).is_dir():
        raise _missing(data, root, "is missing")
    return root


def _missing(data: Data, root: Path, how: str) -> ConfigError:
    folder = FOLDERS[data.kind]
    return missing_files(
        f"data={data.kind.value} needs the folder {folder}/, which {how}",
        [root / folder],
        [
            f"pass data.root=<folder that holds {folder}/>",
            *([] if data.kind in NOT_FETCHED else ["data.download=true"]),
        ],
    )


def _opened(data: Data, opener: Callable[[], Opened]) -> Opened:
    try:
        return opener()
    except Exception as error:  # torchvision's own, network, disk, and whatever scipy makes of damaged annotations
        root, folder = _root(data), FOLDERS[data.kind]
        if not data.download:
            raise _missing(data, root, "lacks files or is damaged") from error
        raise ConfigError(
            f"data={data.kind.value}: {folder}/ could not be fetched into {root}: {error};"
            f" pass data.root=<folder that holds {folder}/>"
        ) from error


def _pixels(data: Data, split: str, opened: "CIFAR10") -> ArrayImages:
    labels = np.asarray(opened.targets, dtype=np.int64)
    return ArrayImages(f"{data.kind.value}/{split}", np.asarray(opened.data, dtype=np.uint8), labels)


def _photographs(opened: "Flowers102", root: Path, *, upright: bool) -> ImageFiles:
    # Private attributes: torchvision offers the files of this set only decoded, and its loader neither
    # names a broken file nor knows 16-bit grey.
    paths = [str(path) for path in opened._image_files]
    labels = np.asarray(opened._labels, dtype=np.int64)
    return ImageFiles(paths, labels, upright=upright, folders=len(os.fsencode(root)))
