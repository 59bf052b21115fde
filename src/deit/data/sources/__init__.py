"""Labelled images by position, whatever they come from."""

from collections.abc import Callable

from deit.config.errors import ConfigError
from deit.config.material import Data, DataKind
from deit.data.sources.base import DataSet, ImageError, ImageSource, Parts, Split
from deit.data.sources.digits import read_digits
from deit.data.sources.division import divide
from deit.data.sources.fashion_mnist import read_fashion_mnist
from deit.data.sources.folders import read_folder, read_imagenet
from deit.data.sources.hf import read_hf
from deit.data.sources.inaturalist import read_inaturalist
from deit.data.sources.torchvision_sets import read_cars, read_cifar, read_flowers

__all__ = ["DataSet", "ImageError", "ImageSource", "Split", "open_dataset"]

READERS: dict[DataKind, Callable[[Data], Parts]] = {
    DataKind.digits: read_digits,
    DataKind.fashion_mnist: read_fashion_mnist,
    DataKind.cifar10: read_cifar,
    DataKind.cifar100: read_cifar,
    DataKind.flowers102: read_flowers,
    DataKind.cars: read_cars,
    DataKind.inat2018: read_inaturalist,
    DataKind.inat2019: read_inaturalist,
    DataKind.imagenet: read_imagenet,
    DataKind.folder: read_folder,
    DataKind.hf: read_hf,
}


def open_dataset(data: Data, *, trains: bool = True) -> DataSet:
    """Open the set that ``data`` names and split it; no image file is decoded yet.

    Args:
        data: What to open.
        trains: False where held-out images alone are wanted: ImageNet's train/ is left alone, and is empty here.

    Raises:
        ConfigError: Files, folders or columns are missing or damaged, a split would be empty, or the
            set has another number of classes than ``data.num_classes``.
    """
    only_val = data.kind is DataKind.imagenet and not trains
    parts = read_imagenet(data, trains=False) if only_val else READERS[data.kind](data)
    found = len(parts.classes)
    if data.num_classes is not None and data.num_classes != found:
        where = data.path if data.kind is DataKind.hf else data.root
        raise ConfigError(
            f"data.num_classes={data.num_classes}, but data={data.kind.value}"
            f"{f' at {where}' if where is not None else ''} has {found} classes; pass data.num_classes={found}"
        )
    return divide(data, parts)
