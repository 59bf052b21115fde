"""Rules of the data: what an option reads must be there, and what it does not read must not be set."""

from collections.abc import Iterator
from pathlib import Path

from deit.config import layout, published
from deit.config.errors import visible
from deit.config.layout_problems import folder_problems
from deit.config.material import Data, DataKind
from deit.config.schema import Config

FETCHED = (DataKind.fashion_mnist, DataKind.cifar10, DataKind.cifar100, DataKind.flowers102, DataKind.hf)
"""Sets for which data.download does something, besides those that say why they cannot be fetched."""


def settings_are_read(c: Config) -> Iterator[str]:
    """Yield each setting of the data that ``data.kind`` has no use for: it was meant for another option."""
    d, kind = c.data, c.data.kind
    if d.root is not None and kind is DataKind.digits:
        yield (
            f"data.root must be left out with data={d.name}, which comes with scikit-learn, got {visible(d.root)}. Pass"
            f" data=folder data.root={visible(d.root)} for a folder with one folder a class."
        )
    if kind is not DataKind.hf:
        given = {key: getattr(d, key) for key in ("path", "image_column", "label_column")}
        defaults = {"path": None, "image_column": Data.image_column, "label_column": Data.label_column}
        for key, value in given.items():
            if value != defaults[key]:
                yield (
                    f"data.{key} must be left out with data={d.name}, because data=hf alone reads it, got"
                    f" {visible(value)}. Pass data=hf data.{key}={visible(value)}"
                    f"{'' if key == 'path' else ' data.path=<dataset>'}{_or_folder(d, key)}."
                )
    if d.download and kind not in (*FETCHED, *published.NOT_FETCHED):
        yield (
            f"data.download must be left out with data={d.name}, for which nothing can be fetched, got true. Leave it"
            " out, or pass data=cifar10 data.download=true."
        )


def _or_folder(data: Data, key: str) -> str:
    """Return the other setting that may have been meant by a path."""
    if key == "path" and data.path is not None and data.kind is not DataKind.folder and Path(data.path).is_dir():
        return f", or data=folder data.root={visible(data.path)}"
    return ", or data.root=<folder>" if key == "path" and data.kind is DataKind.folder else ""


def data_are_there(c: Config, *, trains: bool = True) -> Iterator[str]:
    if c.data.kind in (DataKind.folder, DataKind.imagenet):
        if c.data.root is None:
            yield f"data={c.data.name} needs its folder; pass data.root=<folder with one folder a class>"
            return
        if c.data.kind is DataKind.folder and not trains and Path(c.data.root).is_dir():
            return  # the network that is measured brings the classes
        splits = layout.imagenet_splits(trains=trains) if c.data.kind is DataKind.imagenet else ()
        yield from folder_problems(c.data.root, need_splits=splits)
        if splits and not layout.split_folders(c.data.root):
            return
        found = len(layout.class_names(c.data.root, ("train", *splits)))
        if c.data.num_classes is not None and found > 1 and found != c.data.num_classes:
            yield (
                f"data.root={c.data.root} has {found} class folders, but data.num_classes={c.data.num_classes};"
                f" pass data.num_classes={found} or another data.root"
            )
    elif c.data.root is not None and not _makes_its_folder(c.data) and not Path(c.data.root).is_dir():
        fetched = "" if c.data.kind in published.NOT_FETCHED else ", or data.download=true"
        yield f"data.root={c.data.root} is not a folder; pass data.root=<existing folder>{fetched}"
    else:
        yield from published.problems(c.data)
    if c.data.kind is DataKind.hf and c.data.path is None:
        yield "data=hf needs a dataset; pass data.path=<name on the Hub or local folder>"


def _makes_its_folder(data: Data) -> bool:
    """Return True if ``data.root`` need not be there: what is downloaded, or read from a local path, is put into it."""
    local = data.kind is DataKind.hf and data.path is not None and Path(data.path).exists()
    return data.download or local
