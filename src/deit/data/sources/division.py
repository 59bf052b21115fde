"""From what a set brings along to its train, val and test splits."""

from dataclasses import replace

import numpy as np

from deit.config.errors import ConfigError
from deit.config.material import Data, own_val_refused
from deit.data.sources.base import DataSet, ImageSource, Parts, Split
from deit.data.sources.joined import JoinedImages
from deit.data.splits import hold_out, take_fraction


def divide(data: Data, parts: Parts) -> DataSet:
    """Split off what the set does not bring along.

    Test comes first, then val from what is left of train, then ``data.train_fraction`` of the rest:
    test depends on neither of the other two shares, val not on the share that is trained on. A set
    with val and no test is tested on val, as ImageNet is. ``data.val_fraction`` is a share of the
    training images, so of what remains after test was split off.

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
        train, held = _held(data, parts.train, train, "test", data.test_fraction)
        test = Split(parts.train, held)
    if parts.val is not None:
        val = _whole(parts.val)
    else:
        train, held = _held(data, parts.train, train, "val", data.val_fraction)
        val = Split(parts.train, held)
    train = take_fraction(parts.train.labels, train, data.train_fraction, data.seed)
    return DataSet(Split(parts.train, train), val, test, parts.classes, test_split)


def _joined(data: Data, parts: Parts) -> Parts:
    """Under ``data.own_val=false``, train and val as one split, from which val is then held out anew."""
    if data.own_val:
        return parts
    if parts.val is None or parts.test is None:
        raise ConfigError(own_val_refused(data))
    return replace(parts, train=JoinedImages(parts.train, parts.val), val=None)


def _whole(source: ImageSource) -> Split:
    return Split(source, np.arange(len(source), dtype=np.int64))


def _held(
    data: Data, source: ImageSource, indices: np.ndarray, split: str, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    kept, held = hold_out(source.labels, indices, fraction, data.seed)
    if not len(held):
        raise ConfigError(
            f"data={data.kind.value}: no class has an image to spare for the {split} split ({len(indices)} images"
            f" left to share); add images, or give the set a {split} split of its own"
        )
    return kept, held
