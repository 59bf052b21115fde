"""Checksums of encoded images by which other files under the same names are noticed, without decoding any.

They depend on content alone: a copy with other dates, owners or folders has the same ones.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from deit.data.checksums import ABSENT, CHECKSUM, block_checksum, file_probe
from deit.data.sources import ImageSource
from deit.data.sources.arrays import ArrayImages
from deit.data.sources.files import ImageFiles
from deit.data.sources.joined import JoinedImages

_READERS = 16  # files that are read at once: a network file system takes long for each
_PART = 1024  # images between two hand-overs


def probe(source: ImageSource, index: int) -> int:
    """Return the checksum of an image: of its file's size and of three parts of it, or of its pixels in memory.

    ABSENT if there is no such file, or the source gives no cheap access to what it has stored.
    """
    if isinstance(source, JoinedImages):
        return probe(*source.locate(index))
    if isinstance(source, ImageFiles):
        return file_probe(source.describe(index))
    if isinstance(source, ArrayImages):
        return block_checksum(np.ascontiguousarray(source.pixels[index]).reshape(-1))
    return ABSENT


def probes(source: ImageSource, indices: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return the (n,) checksums of some images."""
    parts = [indices[first : first + _PART] for first in range(0, len(indices), _PART)]
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda part: [probe(source, index) for index in part.tolist()], parts)
        return np.fromiter((one for part in found for one in part), CHECKSUM, len(indices))
