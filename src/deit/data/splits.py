"""Division of images into splits: pure functions of labels, share, seed, and positions or names.

Legend: N images in the source, n positions looked at, K classes.

Images without names (arrays): an image's place in the shuffled order of its class comes from a key that depends on the
seed and on the image's own position alone. `hold_out` takes from the front of that order, `take_fraction` from its
back: held-out images never depend on how much is trained on. The shares are exact.

Images with names (files): an image is in a split if a hash of the seed, its class and its name lies below the share
(`hold_out_by_name`, `take_by_name`). It keeps its split when other images are added or removed; the shares are exact
on average.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Keys = NDArray[np.uint64]


def hold_out(labels: Positions, indices: Positions, fraction: float, seed: int) -> tuple[Positions, Positions]:
    """Split positions in two, class by class.

    A class of c images gives ``c * fraction`` of them, rounded half up, but at least one and never
    all; a class with a single image keeps it.

    Args:
        labels: (N,) label of every image of the source.
        indices: (n,) positions to divide, each once.
        fraction: Share to hold out, in (0, 1).
        seed: Of the draw; any integer.

    Returns:
        ``(kept, held)``: (n - h,) and (h,) positions, ascending.
    """
    assert 0 < fraction < 1, fraction
    place, size = _places(labels, indices, _keys_of_positions(len(labels), seed))
    held = place < np.minimum(np.maximum(_share(size, fraction), 1), size - 1)
    return np.sort(indices[~held]), np.sort(indices[held])


def take_fraction(labels: Positions, indices: Positions, fraction: float, seed: int) -> Positions:
    """Keep the same share of every class, rounded half up and at least one image.

    For the same seed a smaller share is contained in every larger one.

    Args:
        labels: (N,) label of every image of the source.
        indices: (n,) positions to choose from, each once.
        fraction: Share to keep, in (0, 1].
        seed: Of the draw; any integer.

    Returns:
        (m,) positions, ascending.
    """
    assert 0 < fraction <= 1, fraction
    place, size = _places(labels, indices, _keys_of_positions(len(labels), seed))
    return np.sort(indices[place >= size - np.maximum(_share(size, fraction), 1)])


def keys_of_names(names: Sequence[bytes], *, seed: int, split: str) -> Keys:
    """Hash the name of each image, its class included, into a number for the draw of one split.

    Args:
        names: N names.
        seed: Of the draw; any integer.
        split: Split that is drawn, so that the draws do not depend on each other.

    Returns:
        (N,) numbers, evenly spread over 64 bits.
    """
    salt = f"{split} {seed}".encode()
    drawn = hashlib.blake2b(digest_size=8, key=hashlib.sha256(salt).digest())

    def number(name: bytes) -> bytes:
        one = drawn.copy()
        one.update(name)
        return one.digest()

    return np.frombuffer(b"".join(map(number, names)), dtype="<u8").astype(np.uint64)


def hold_out_by_name(
    labels: Positions, indices: Positions, fraction: float, keys: Keys, *, left: int = 1
) -> tuple[Positions, Positions]:
    """Split positions in two by the keys of their names.

    Each image is held out with a probability of ``fraction``. A class gives at least one image and keeps at least
    ``left``; a class that is too small for both gives one, and a single image is kept.

    Args:
        labels: (N,) label of every image of the source.
        indices: (n,) positions to divide, each once.
        fraction: Share to hold out, in (0, 1).
        keys: (N,) of `keys_of_names`.
        left: Images that a class keeps, for the splits that are drawn after this one.

    Returns:
        ``(kept, held)``: (n - h,) and (h,) positions, ascending.
    """
    assert 0 < fraction < 1, fraction
    place, size = _places(labels, indices, keys)
    most = np.maximum(size - left, np.minimum(size - 1, 1))
    held = ((keys[indices] < _threshold(fraction)) | (place == 0)) & (place < most)
    return np.sort(indices[~held]), np.sort(indices[held])


def take_by_name(labels: Positions, indices: Positions, fraction: float, keys: Keys) -> Positions:
    """Keep each image with a probability of ``fraction`` by the key of its name, and at least one of every class.

    For the same keys a smaller share is contained in every larger one. Arguments as `hold_out_by_name`.

    Returns:
        (m,) positions, ascending.
    """
    assert 0 < fraction <= 1, fraction
    if fraction == 1:
        return np.sort(indices)
    place, _ = _places(labels, indices, keys)
    return np.sort(indices[(keys[indices] < _threshold(fraction)) | (place == 0)])


def _threshold(fraction: float) -> np.uint64:
    return np.uint64(int(fraction * 2**64))


def _share(size: Positions, fraction: float) -> Positions:
    # Half up, not half to even: a class of 5 and a class of 15 should both gain from a half.
    return np.floor(size * fraction + 0.5).astype(np.int64)


def _keys_of_positions(number: int, seed: int) -> Keys:
    """(N,) random numbers, one for each position."""
    # Raw Philox words and a stable sort: numpy promises the same bits on every platform and in every
    # release for bit generators, but not for Generator.permutation.
    return np.asarray(np.random.Philox(key=seed % 2**64).random_raw(number), dtype=np.uint64)


def _places(labels: Positions, indices: Positions, keys: Keys) -> tuple[Positions, Positions]:
    """For every position: its place in the order of the keys in its class, and the size of the class; both (n,)."""
    _, which, sizes = np.unique(labels[indices], return_inverse=True, return_counts=True)
    order = np.lexsort((keys[indices], which))
    first = np.cumsum(sizes) - sizes  # where each class begins in the sorted order
    place = np.empty(len(indices), dtype=np.int64)
    place[order] = np.arange(len(indices)) - first[which[order]]
    return place, sizes[which].astype(np.int64)
