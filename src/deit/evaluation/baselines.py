"""What an accuracy is read beside: confidence interval, majority-class baseline, collapsed predictions."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NORMAL_95 = 1.959963984540054
"""Quantile of the standard normal distribution at 97.5 %: the interval covers 95 %."""


class Interval(NamedTuple):
    """Ends of a confidence interval, in percent."""

    low: float
    high: float


def wilson_interval(right: int, total: int) -> Interval:
    """Return the 95 % Wilson score interval of ``right`` of ``total`` images.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference". It stays within 0 and 100
    percent and holds its level for small splits, where the normal approximation does not.
    """
    assert 0 <= right <= total and total > 0, (right, total)
    share, z2 = right / total, NORMAL_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return Interval(100 * max(0.0, centre - half), 100 * min(1.0, centre + half))


def majority_accuracy(labels: NDArray[np.integer]) -> float:
    """Return the accuracy in percent of always predicting the most frequent class of (N,) ``labels``."""
    return 100 * float(np.bincount(labels).max()) / len(labels)


class Spread(NamedTuple):
    """How many classes there are and how many are ever predicted."""

    predicted: int
    present: int

    @property
    def is_collapsed(self) -> bool:
        """Fewer than half of the classes are ever predicted, or a single one of several."""
        return self.predicted < min(self.present, max(2, math.ceil(self.present / 2)))


def spread(labels: NDArray[np.integer], decisions: NDArray[np.integer]) -> Spread:
    """Count the classes among (N,) ``labels`` and among the (N,) ``decisions`` for the same images."""
    return Spread(len(np.unique(decisions)), len(np.unique(labels)))
