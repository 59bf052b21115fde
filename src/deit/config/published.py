"""Where the files of published data sets are looked for, known without opening one: a run can be refused early."""

from collections.abc import Iterator
from pathlib import Path

from deit.config.material import Data, DataKind

DOWNLOADS = Path("logs/data")
"""Where downloads go unless ``data.root`` says otherwise."""
FASHION_MNIST_SYSTEM = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
FASHION_MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FOLDERS = {
    DataKind.cifar10: "cifar-10-batches-py",
    DataKind.cifar100: "cifar-100-python",
    DataKind.flowers102: "flowers-102",
    DataKind.cars: "stanford_cars",
}
"""What torchvision calls the folder of each set, below the root that it is given."""

ANNOTATIONS = {
    DataKind.inat2018: ("train2018.json", "val2018.json"),
    DataKind.inat2019: ("train2019.json", "val2019.json"),
}
"""What lists the images of each year of iNaturalist, beside their folder."""

NOT_FETCHED = {
    DataKind.cars: "has been taken down by its publisher",
    DataKind.inat2018: "is too large to be fetched here",
    DataKind.inat2019: "is too large to be fetched here",
}
"""Why a set cannot be downloaded."""


def root_of(data: Data) -> Path:
    """The folder below which the files lie or are to be put."""
    return DOWNLOADS if data.root is None else Path(data.root)


def download_problems(data: Data) -> Iterator[str]:
    """Yield why ``data.download=true`` is in vain."""
    if data.download and data.kind in NOT_FETCHED:
        folder = "the annotations and the images" if data.kind in ANNOTATIONS else f"{FOLDERS[data.kind]}/"
        yield (
            f"data={data.name} cannot be downloaded: it {NOT_FETCHED[data.kind]};"
            f" pass data.root=<folder that holds {folder}> data.download=false"
        )


def problems(data: Data) -> Iterator[str]:
    """Yield what is missing of a published set that may not, or cannot, be downloaded."""
    if data.download:
        yield from download_problems(data)
        return
    root = root_of(data)
    if data.kind in FOLDERS and not (root / FOLDERS[data.kind]).is_dir():
        folder = FOLDERS[data.kind]
        fetched = "" if data.kind in NOT_FETCHED else ", or data.download=true"
        yield (
            f"data={data.name} needs the folder {folder}/, which is not in {root};"
            f" pass data.root=<folder that holds {folder}/>{fetched}"
        )
    if data.kind in ANNOTATIONS and (missing := [n for n in ANNOTATIONS[data.kind] if not (root / n).is_file()]):
        yield (
            f"data={data.name} needs {' and '.join(missing)}, which are not in {root};"
            " pass data.root=<folder that holds them and the images>"
        )
    if data.kind is DataKind.fashion_mnist:
        places = (root, root / "FashionMNIST" / "raw", FASHION_MNIST_SYSTEM)
        first = FASHION_MNIST_FILES[0]
        if not any((place / name).is_file() for place in places for name in (first, f"{first}.gz")):
            yield (
                f"data={data.name} needs {', '.join(FASHION_MNIST_FILES)} (or each with .gz); looked in"
                f" {', '.join(map(str, places))}; type apt-get install dataset-fashion-mnist, or pass"
                " data.root=<their folder> or data.download=true"
            )
