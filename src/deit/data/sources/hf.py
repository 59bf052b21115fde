"""Hugging Face datasets: a name on the Hub, a folder of images or tables, or one written by save_to_disk.

The package `datasets` is an optional extra and is imported only here, only when asked for.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deit.config.errors import ConfigError
from deit.config.material import Data
from deit.config.split_names import splits_named
from deit.data.containment import Folders
from deit.data.sources.base import Parts
from deit.data.sources.decoding import ImageError, decode, read_file
from deit.data.sources.files import MISSING
from deit.data.sources.pictures import Picture, picture_of

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # pyright: ignore[reportMissingImports]
    from pyarrow import ChunkedArray  # pyright: ignore[reportMissingImports]

UNLABELLED = -1
"""What the Hub's sets hold in place of a label that was not published."""

log = logging.getLogger(__name__)


class TableImages:
    """N rows of a table with a column of encoded images.

    Args:
        name: What to call the table in a message.
        table: Its image column, cast so that it gives the encoded bytes or a path.
        column: Name of that column.
        labels: (N,) label of every row.
        folders: Where a path in that column may lead.
        root: Folder of the dataset, which is no part of an image's name.
        upright: Whether images are turned as their EXIF orientation says (`Data.upright`).
    """

    def __init__(
        self,
        name: str,
        table: "Dataset",
        column: str,
        labels: NDArray[np.int64],
        folders: Folders,
        *,
        root: str = "",
        upright: bool = False,
    ) -> None:
        self.name, self.root, self.upright = name, root, upright
        self.folders = folders
        self.labels = labels
        self._table = table
        self._column = column

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        """The image of row ``index`` as RGB; raises ImageError with the row if it cannot be decoded."""
        return decode(*self._content(index), upright=self.upright)

    def picture(self, index: int) -> Picture:
        """The same, decoded as far as it is asked for."""
        return picture_of(*self._content(index), upright=self.upright)

    def _content(self, index: int) -> tuple[bytes, str]:
        """The encoded image, and what to call it in a message."""
        # Decoded by us: the package would turn images whatever data.upright says, and keep grey as grey.
        cell = self._table[int(index)][self._column]
        name = self.describe(index)
        if cell is None or (cell["bytes"] is None and cell["path"] is None):
            raise ImageError(f"{name}: holds no image")
        if cell["bytes"] is not None:
            return cell["bytes"], name
        if not self.folders.hold(cell["path"]):
            raise ImageError(f"{name}: names {cell['path']}, which is outside of the set and of the package's cache")
        return read_file(cell["path"], f"{name}, {cell['path']}"), f"{name}, {cell['path']}"

    def describe(self, index: int) -> str:
        return f"{self.name}[{index}]"

    def names(self) -> list[bytes] | None:
        """Return the path of each row's file as the table records it, counted from its dataset; None if any lacks one.

        Rows of equal label and path would not be told apart, so that such a table counts as one without names.
        """
        paths = self._field("path").to_pylist()
        if None in paths:
            return None
        root = f"{Path(self.root).absolute()}{os.sep}"
        names = [os.fsencode(path[len(root) :] if path.startswith(root) else Path(path).name) for path in paths]
        return names if len(set(zip(self.labels.tolist(), names, strict=True))) == len(names) else None

    def marks(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        from pyarrow import compute  # pyright: ignore[reportMissingImports]

        measured = compute.call_function("binary_length", [self._field("bytes")])  # from offsets alone
        lengths = measured.take(indices).to_pylist()
        if None not in lengths:
            return np.array(lengths, dtype=np.int64)
        return np.array([self._size(int(index)) for index in indices], dtype=np.int64)

    def _size(self, index: int) -> int:
        try:
            return len(self._content(index)[0])
        except ImageError:
            return MISSING

    def _field(self, name: str) -> "ChunkedArray":
        """One field of the image column, in the order of the rows, without reading the others."""
        import pyarrow  # pyright: ignore[reportMissingImports] - comes with datasets

        column = self._table.data.column(self._column)
        parts = [chunk.field(name) for chunk in column.chunks]
        found = pyarrow.chunked_array(parts, type=column.type.field(name).type)
        chosen = self._table._indices  # of a table that is a selection of another's rows
        return found if chosen is None else found.take(chosen.column(0))


def read_hf(data: Data) -> Parts:
    """The splits train, val (or valid, validation) and test of ``data.path``; a single split counts as train.

    ``data.root`` is the package's cache folder; null: the package's own choice.

    Raises:
        ConfigError: The package, the set, a split or a column is missing, or labels are no classes.
    """
    tables = _named_splits(data, _load(data))
    for table in tables.values():
        _check_columns(data, table)
    values = {split: _values(data, table) for split, table in tables.items()}
    for split in [split for split in values if split != "train" and set(values[split]) <= {UNLABELLED}]:
        log.warning("data.path=%s: the %s split has no labels and is left aside", data.path, split)
        del values[split]
    classes = _classes(data, tables["train"], values)
    parts = {split: _source(data, split, tables[split], values[split], classes) for split in values}
    return Parts(classes, **parts)


def _load(data: Data) -> "Dataset | DatasetDict":
    if data.path is None:
        raise ConfigError("data=hf does not say which dataset; pass data.path=<name on the Hub or local folder>")
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        message = "data=hf needs the package datasets, which is not installed; type: pip install 'deit[hf]'"
        raise ConfigError(message) from error
    folder = Path(data.path)
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            return datasets.load_from_disk(data.path)
        if folder.is_dir() or data.download:
            return datasets.load_dataset(data.path, cache_dir=data.root)
        with _offline():
            return datasets.load_dataset(data.path, cache_dir=data.root)
    except Exception as error:  # a dozen types, of this package and of those below it
        way_out = "check the name or folder" if folder.is_dir() or data.download else "pass data.download=true"
        raise ConfigError(
            f"data.path={data.path} cannot be opened ({type(error).__name__}: {error}); {way_out},"
            " or pass data.path=<local folder>"
        ) from error


@contextmanager
def _offline() -> Iterator[None]:
    """Keep `datasets` off the network; what it has in its cache is still found."""
    # Both packages read HF_HUB_OFFLINE into a module constant at import and offer no argument for it.
    from datasets import config  # pyright: ignore[reportMissingImports]
    from huggingface_hub import constants  # pyright: ignore[reportMissingImports]

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _named_splits(data: Data, loaded: "Dataset | DatasetDict") -> dict[str, "Dataset"]:
    """Tables by train, val, test; train is always there."""
    if not isinstance(loaded, dict):
        return {"train": loaded}
    if len(loaded) == 1:
        return {"train": next(iter(loaded.values()))}
    names = splits_named([str(name) for name in loaded])
    found: dict[str, Dataset] = {}
    for name, split in names.items():
        if split in found:
            twice = [name for name, other in names.items() if other == split]
            raise ConfigError(
                f"data.path={data.path} must have one split for {split}, got {', '.join(twice)}, which are all names of"
                " it. Pass the path of a dataset without the others."
            )
        found[split] = loaded[name]
    if "train" not in found:
        there = ", ".join(str(name) for name in loaded)
        raise ConfigError(f"data.path={data.path} has no train split; it has: {there}; pass the path of another set")
    return found


def _check_columns(data: Data, table: "Dataset") -> None:
    from datasets import Image as ImageFeature  # pyright: ignore[reportMissingImports]

    for key, column in (("image_column", data.image_column), ("label_column", data.label_column)):
        if column not in table.column_names:
            raise ConfigError(
                f"data.{key}={column} is no column of data.path={data.path}; there are:"
                f" {', '.join(table.column_names)}; pass data.{key}=<one of them>"
            )
    feature = table.features[data.image_column]
    if not isinstance(feature, ImageFeature) and getattr(feature, "dtype", None) not in ("binary", "string"):
        raise ConfigError(
            f"data.image_column={data.image_column} holds {feature}, not images; columns:"
            f" {', '.join(table.column_names)}; pass data.image_column=<one of them>"
        )


def _values(data: Data, table: "Dataset") -> list[int | str]:
    column = table.select_columns([data.label_column])[:][data.label_column]
    wrong = [value for value in column if not isinstance(value, int | str | None)]
    if wrong:
        raise ConfigError(
            f"data.label_column={data.label_column} holds {wrong[0]!r}; a label must be an integer or a word;"
            f" columns: {', '.join(table.column_names)}; pass data.label_column=<one of them>"
        )
    return [UNLABELLED if value is None else value for value in column]


def _classes(data: Data, train: "Dataset", values: dict[str, list[int | str]]) -> tuple[str, ...]:
    names: Sequence[str] | None = getattr(train.features[data.label_column], "names", None)  # a ClassLabel has them
    if names is not None:
        return tuple(names)
    if words := {value for value in values["train"] if isinstance(value, str)}:
        return tuple(sorted(words))
    if data.num_classes is not None:
        return tuple(str(label) for label in range(data.num_classes))
    largest = max((int(value) for column in values.values() for value in column), default=-1)
    return tuple(str(label) for label in range(largest + 1))


def _source(data: Data, split: str, table: "Dataset", values: list[int | str], classes: tuple[str, ...]) -> TableImages:
    from datasets import Image as ImageFeature  # pyright: ignore[reportMissingImports]

    label_of: dict[int | str, int] = {name: label for label, name in enumerate(classes)}
    label_of.update({label: label for label in range(len(classes))})
    if strange := sorted({str(value) for value in values if value not in label_of}):
        raise ConfigError(
            f"data.path={data.path}: the {split} split has labels outside its {len(classes)} classes:"
            f" {', '.join(strange[:5])}; pass data.num_classes=<number of classes> or another data.label_column"
        )
    labels = np.array([label_of[value] for value in values], dtype=np.int64)
    images = table.select_columns([data.image_column]).cast_column(data.image_column, ImageFeature(decode=False))
    name, column = f"{data.path}/{split}", data.image_column
    root = str(data.path)
    return TableImages(name, images, column, labels, _folders(data), root=root, upright=data.upright)


def _folders(data: Data) -> Folders:
    """Where the set's own files lie: in its folder, or where the package keeps what it has downloaded."""
    from datasets import config  # pyright: ignore[reportMissingImports]
    from huggingface_hub import constants  # pyright: ignore[reportMissingImports]

    downloads = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, constants.HF_HUB_CACHE)
    return Folders([folder for folder in (data.path, data.root, *downloads) if folder is not None])
