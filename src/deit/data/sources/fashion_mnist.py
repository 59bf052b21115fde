"""Fashion-MNIST: 60,000 + 10,000 grey images of 28 x 28 pixels in four idx files, plain or gzipped.

idx: two zero bytes, a type byte (8: uint8), the number of dimensions, each dimension as a
big-endian 32-bit integer, then the values in C order.
"""

import gzip
import logging
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deit.config.errors import ConfigError
from deit.config.material import Data
from deit.config.published import FASHION_MNIST_FILES as NAMES
from deit.config.published import FASHION_MNIST_SYSTEM as SYSTEM_FOLDER
from deit.config.published import root_of
from deit.data.sources.arrays import ArrayImages
from deit.data.sources.base import Parts, missing_files

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

log = logging.getLogger(__name__)


def read_fashion_mnist(data: Data) -> Parts:
    """Train and test as published.

    Raises:
        ConfigError: The files are nowhere and may not be fetched, or one of them is damaged.
    """
    files = _find(data)
    return Parts(CLASSES, train=_read("train", *files[:2]), test=_read("test", *files[2:]))


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Values of an idx file of bytes; ``dimensions`` says how many axes the result has.

    Raises:
        ConfigError: It is no such file, or holds more or fewer values than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    if content[:4] != magic or len(content) < header:
        raise _damaged(path, f"starts with {content[:4].hex() or 'nothing'}, not with {magic.hex()}")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    values = np.frombuffer(content, np.uint8, offset=header)
    if values.size != np.prod(shape, dtype=np.int64):
        raise _damaged(path, f"holds {values.size} values where its header says {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def _read(split: str, images: Path, labels: Path) -> ArrayImages:
    pixels, targets = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(targets):
        raise _damaged(labels, f"holds {len(targets)} labels for the {len(pixels)} images of {images.name}")
    if not len(targets):
        raise _damaged(labels, "holds no label")
    if targets.max() >= len(CLASSES):
        raise _damaged(labels, f"holds label {targets.max()}; the set has {len(CLASSES)} classes")
    return ArrayImages(f"fashion_mnist/{split}", pixels, targets.astype(np.int64))


def _damaged(path: Path, how: str) -> ConfigError:
    return ConfigError(f"{path} {how}; fetch the file again, or pass data.root=<folder of an intact copy>")


def _find(data: Data) -> list[Path]:
    """The four files in the order of NAMES, from the first folder that holds them all."""
    target = root_of(data)
    own = [target, target / "FashionMNIST" / "raw"]
    if files := next(filter(None, map(_complete, own)), None):
        return files
    if files := _complete(SYSTEM_FOLDER):
        if data.root is not None:
            log.warning("data.root=%s does not hold the files of Fashion-MNIST; reading %s", data.root, SYSTEM_FOLDER)
        return files
    if data.download:
        _download(target)
        if files := _complete(own[1]):
            return files
    raise missing_files(
        f"data=fashion_mnist needs {', '.join(NAMES)} (or each with .gz) in one folder",
        [*own, SYSTEM_FOLDER],
        ["type: apt-get install dataset-fashion-mnist", "pass data.root=<their folder>", "data.download=true"],
    )


def _complete(folder: Path) -> list[Path] | None:
    files = [next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None) for name in NAMES]
    found = [path for path in files if path is not None]
    return found if len(found) == len(NAMES) else None


def _download(target: Path) -> None:
    from torchvision.datasets import FashionMNIST  # here, because it is seldom needed and slow to import

    try:
        FashionMNIST(str(target), download=True)
    except (OSError, RuntimeError) as error:  # no network, no permission, full disk, damaged transfer
        raise ConfigError(
            f"data.download=true, but Fashion-MNIST could not be fetched into {target}: {error};"
            " type: apt-get install dataset-fashion-mnist, or pass data.root=<folder of its files>"
        ) from error
