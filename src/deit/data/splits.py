"""Which images are held out and which are used: pure functions of labels, positions, share and seed.

Legend: N images in the source, n positions looked at, K classes.

An image's place in the shuffled order of its class comes from a key that depends on the seed and on
the image's own position alone. `hold_out` takes from the front of that order, `take_fraction` from
its back: held-out images never depend on how much is trained on.
"""

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


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
    place, size = _places(labels, indices, seed)
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
    place, size = _places(labels, indices, seed)
    return np.sort(indices[place >= size - np.maximum(_share(size, fraction), 1)])


def _share(size: Positions, fraction: float) -> Positions:
    # Half up, not half to even: a class of 5 and a class of 15 should both gain from a half.
    return np.floor(size * fraction + 0.5).astype(np.int64)


def _places(labels: Positions, indices: Positions, seed: int) -> tuple[Positions, Positions]:
    """For every position: its place in the shuffled order of its class, and the size of the class; both (n,)."""
    # Raw Philox words and a stable sort: numpy promises the same bits on every platform and in every
    # release for bit generators, but not for Generator.permutation.
    bits = np.random.Philox(key=seed % 2**64)
    keys = np.asarray(bits.random_raw(len(labels)), dtype=np.uint64)[indices]
    _, which, sizes = np.unique(labels[indices], return_inverse=True, return_counts=True)
    order = np.lexsort((keys, which))
    first = np.cumsum(sizes) - sizes  # where each class begins in the sorted order
    place = np.empty(len(indices), dtype=np.int64)
    place[order] = np.arange(len(indices)) - first[which[order]]
    return place, sizes[which].astype(np.int64)
