"""What runs decided for each test image, and how often two decide differently (Table 4). n images."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deit.config.sealed import refuse_unlisted

if TYPE_CHECKING:  # numpy takes a while, which only a report with a figure of Table 4 needs to wait for
    import numpy as np
    from numpy.typing import NDArray

PREDICTIONS = "predictions.npz"
INDEX, LABEL = "index", "label"
LARGEST = 64 * 2**20
"""Bytes that are unpacked; three million images of seven columns fit."""

Predictions = Mapping[str, "NDArray[np.integer]"]
"""(n,) each: ``index``, positions in the data set; ``label``; and classes by who decided, such as ``distill``."""


def read_predictions(folder: Path) -> Predictions:
    """The predictions that the run in ``folder`` left.

    Raises:
        ValueError: in one line, where there are none or the file is not as a run leaves it.
    """
    import numpy as np

    file = folder / PREDICTIONS
    if not file.is_file():
        raise ValueError(f"{PREDICTIONS} is missing")
    try:
        refuse_unlisted(file, file.read_bytes())
        with zipfile.ZipFile(file) as packed:
            if sum(part.file_size for part in packed.infolist()) > LARGEST:
                raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
        with np.load(file, allow_pickle=False) as columns:
            found = dict(columns)
    except Exception as error:  # of a dozen kinds, as zipfile, zlib and numpy each have their own
        raise ValueError(f"{PREDICTIONS} is damaged or cut off: {' '.join(str(error).split())}") from None
    shapes = {(column.shape, column.dtype.kind) for column in found.values()}
    if not {INDEX, LABEL} <= found.keys() or len(shapes) != 1 or shapes != {(found[INDEX].shape[:1], "i")}:
        raise ValueError(f"{PREDICTIONS} is not a run's: it needs {INDEX}, {LABEL} and classes, an integer an image")
    return found


def disagreement(mine: Predictions, one: str, theirs: Predictions, other: str) -> float:
    """Share of the images for which ``one`` of ``mine`` and ``other`` of ``theirs`` are not the same class.

    Raises:
        ValueError: in one line, where one of them is not there, or the two are of other images.
    """
    import numpy as np

    for columns, name in ((mine, one), (theirs, other)):
        if name not in columns:
            raise ValueError(f"{PREDICTIONS} has no {name}; it has {', '.join(columns)}")
    if not all(np.array_equal(mine[name], theirs[name]) for name in (INDEX, LABEL)) or not len(mine[INDEX]):
        raise ValueError("no predictions of the same test images")
    return float(np.mean(mine[one] != theirs[other]))
