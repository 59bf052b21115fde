"""From what a set brings along to its train, val and test splits."""

import os
from dataclasses import replace

import numpy as np

from deit.config.errors import ConfigError
from deit.config.material import Data, own_val_refused
from deit.data.sources.base import DataSet, ImageSource, Parts, Split
from deit.data.sources.joined import JoinedImages
from deit.data.splits import hold_out, hold_out_by_name, keys_of_names, take_by_name, take_fraction


def divide(data: Data, parts: Parts) -> DataSet:
    """Split off what the set does not bring along.

    Test comes first, then val from what is left of train, then ``data.train_fraction`` of the rest:
    test depends on neither of the other two shares, val not on the share that is trained on. A set
    with val and no test is tested on val, as ImageNet is. ``data.val_fraction`` is a share of the
    training images, so of what remains after test was split off.

    Images that have names are drawn by name, so that each keeps its split when others are added or removed.

    Raises:
        ConfigError: A split would be empty, because no class has two images to share between splits.
    """
    parts = _joined(data, parts)
    train = np.arange(len(parts.train), dtype=np.int64)
    test_split = "test"
    if parts.test is not None:
        test = _whole(parts.test)
    elif parts.val is not None:
        test, test_split = _whole(parts.val), "val"
    else:
        train, held = _held(data, parts, train, "test", data.test_fraction, left=2)  # of which val takes one
        test = Split(parts.train, held)
    if parts.val is not None:
        val = _whole(parts.val)
    else:
        train, held = _held(data, parts, train, "val", data.val_fraction)
        val = Split(parts.train, held)
    return DataSet(Split(parts.train, _share(data, parts, train)), val, test, parts.classes, test_split)


def is_drawn_by_name(dataset: DataSet) -> bool:
    """Return True if some split of ``dataset`` was drawn by the names of its images."""
    source = dataset.train.source
    return len(dataset.train) < len(source) and source.names() is not None


def _joined(data: Data, parts: Parts) -> Parts:
    """Under ``data.own_val=false``, train and val as one split, from which val is then held out anew."""
    if data.own_val:
        return parts
    if parts.val is None or parts.test is None:
        raise ConfigError(own_val_refused(data))
    return replace(parts, train=JoinedImages(parts.train, parts.val), val=None)


def _whole(source: ImageSource) -> Split:
    return Split(source, np.arange(len(source), dtype=np.int64))


def _share(data: Data, parts: Parts, indices: np.ndarray) -> np.ndarray:
    """The positions of ``data.train_fraction`` of the images at ``indices``."""
    labels, fraction = parts.train.labels, data.train_fraction
    if fraction < 1 and (keys := _keys(data, parts, "train")) is not None:
        return take_by_name(labels, indices, fraction, keys)
    return take_fraction(labels, indices, fraction, data.seed)


def _keys(data: Data, parts: Parts, split: str) -> np.ndarray | None:
    """(N,) keys of the names of the training images for the draw of ``split``; None if images have no names."""
    if (names := parts.train.names()) is None:
        return None
    classes = [os.fsencode(f"{name}/") for name in parts.classes]
    full = [classes[label] + name for label, name in zip(parts.train.labels.tolist(), names, strict=True)]
    return keys_of_names(full, seed=data.seed, split=split)


def _held(
    data: Data, parts: Parts, indices: np.ndarray, split: str, fraction: float, *, left: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    labels, keys = parts.train.labels, _keys(data, parts, split)
    if keys is None:
        kept, held = hold_out(labels, indices, fraction, data.seed)
    else:
        kept, held = hold_out_by_name(labels, indices, fraction, keys, left=left)
    if not len(held):
        raise ConfigError(
            f"data={data.kind.value}: no class has an image to spare for the {split} split ({len(indices)} images"
            f" left to share); add images, or give the set a {split} split of its own"
        )
    return kept, held
