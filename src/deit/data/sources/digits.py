"""scikit-learn's 1,797 handwritten digits of 8 x 8 pixels; the files come with the package."""

import numpy as np

from deit.config.material import Data
from deit.data.sources.arrays import ArrayImages
from deit.data.sources.base import Parts


def read_digits(data: Data) -> Parts:
    """The digits as one part; the set has no splits of its own."""
    from sklearn.datasets import load_digits  # here, because loader processes import this package and not sklearn

    values, target = load_digits(return_X_y=True)
    pixels = np.rint(np.asarray(values).reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # given as 0 to 16
    labels = np.asarray(target, dtype=np.int64)
    return Parts(tuple("0123456789"), ArrayImages(data.kind.value, pixels, labels))
