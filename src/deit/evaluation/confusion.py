"""Which class is taken for which. Shapes: N images, K classes."""

import numpy as np
from numpy.typing import NDArray


def confusion(labels: NDArray[np.integer], decisions: NDArray[np.integer], num_classes: int) -> NDArray[np.int64]:
    """How many images of each class (rows) were decided to be of each class (columns): (K, K).

    Args:
        labels, decisions: (N,) classes below ``num_classes``.
    """
    pairs = labels.astype(np.int64) * num_classes + decisions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_accuracy(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each class's images that was decided rightly: (K,) percent, NaN for a class without images."""
    totals = matrix.sum(axis=1)
    return np.where(totals > 0, np.diagonal(matrix) / np.maximum(totals, 1) * 100, np.nan)
