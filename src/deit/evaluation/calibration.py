"""Whether what a network holds probable comes true as often as it says. Shapes: N images, M bins."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15  # as Guo et al. (2017) and most of the literature since


class Reliability(NamedTuple):
    """What a reliability plot shows: bins of equal width over [0, 1], each with its right edge."""

    counts: NDArray[np.int64]
    """(M,) images."""
    confidences: NDArray[np.float64]
    """(M,) mean confidence in [0, 1]; 0 where a bin is empty."""
    accuracies: NDArray[np.float64]
    """(M,) share that is right in [0, 1]; 0 where a bin is empty."""


def reliability(confidences: NDArray, right: NDArray[np.bool_], num_bins: int = NUM_BINS) -> Reliability:
    """Confidence against accuracy, bin by bin.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", section 2.

    Args:
        confidences: (N,) probability of the class that was decided for.
        right: (N,) whether that was right.
    """
    exact = np.asarray(confidences, dtype=np.float64)
    edges = np.linspace(0, 1, num_bins + 1)[1:-1]
    places = np.searchsorted(edges, exact, side="left")  # bins are closed to the right
    counts = np.bincount(places, minlength=num_bins)
    at_least_one = np.maximum(counts, 1)
    sums = (np.bincount(places, weights=values, minlength=num_bins) for values in (exact, right.astype(np.float64)))
    return Reliability(counts, *(total / at_least_one for total in sums))


def expected_calibration_error(bins: Reliability) -> float:
    """Mean distance of confidence and accuracy over the images, in percent (Guo et al., 2017, equation 3)."""
    distances = np.abs(bins.confidences - bins.accuracies)
    return float((bins.counts * distances).sum() / max(1, bins.counts.sum())) * 100
