"""Images that cannot be read when a run needs them: what stands in for them, and who hears of it.

Nothing here depends on what was met before, so that a run which is resumed sees what it would have seen.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import distributed

from deit.config.errors import RunError, in_shell, visible
from deit.config.material import Data, OnError
from deit.data.keys import Key, Stream, frozen_generator
from deit.data.sources import ImageError, ImageSource, Split

log = logging.getLogger(__name__)

TRIED = 16  # other images: where none of so many can be read, files are not broken but gone
NAMED = 48  # images in one message, and in run.json


class Fault(NamedTuple):
    """An image that cannot be read, told by who tried to those who decide."""

    image: int
    """Position in the source."""
    label: int
    name: str
    """What its source calls it."""
    why: str
    """The same and what is wrong with it."""
    lost: bool
    """Whether no other image that was tried can be read either."""
    gone: bool = True
    """Whether the file is not there, rather than no image."""


def fault(source: ImageSource, index: int, error: ImageError, *, lost: bool) -> Fault:
    """What is told of an image."""
    return Fault(index, int(source.labels[index]), visible(source.describe(index)), str(error), lost, error.is_gone)


def stand_ins(split: Split, key: Key, seed: int) -> Iterator[int]:
    """Positions in the source of images that may stand in for the one of ``key``, in their order.

    They are of its class, so that its label stays right and nothing else of the epoch changes; of the split, so that
    nothing held out is trained on; and drawn by the key, so that a view of a broken image is the same whenever it
    comes and no single image is seen twice as often.
    """
    source = split.source
    alike = split.indices[split.labels == source.labels[key.index]]
    others = alike[alike != key.index]
    drawn = frozen_generator(seed, Stream.STAND_IN, key.view, key.index).permutation(others)
    return (int(index) for index in drawn[:TRIED])


def all_lost(source: ImageSource) -> bool:
    """Whether none of a few images, from the first to the last, can be read."""
    return not any(_is_readable(source, int(i)) for i in np.linspace(0, len(source) - 1, TRIED))


def _is_readable(source: ImageSource, index: int) -> bool:
    try:
        source.image(index)
    except ImageError:
        return False
    return True


def refusal(told: Sequence[str], data: Data, *, lost: bool = False, gone: bool = True) -> RunError:
    """The error that ends a run for images of which ``told`` says what is wrong.

    Args:
        told: A line for each.
        data: Where they are.
        lost: So it is with all others that were tried.
        gone: Files are not there, rather than no images.
    """
    count = "an image" if len(told) == 1 else f"{len(told)} images"
    way_out = "put whole files there, or pass data.on_error=skip"
    if lost:
        others = f"nor can any of {TRIED} others, or of as many as there are"
        way_out = (
            f"{others}: bring the images back" if gone else f"{others}: {conversion(told, data) or 'replace them'}"
        )
    elif convert := conversion(told, data):
        way_out = f"{convert}, or pass data.on_error=skip"
    if data.root is not None and not Path(data.root).is_dir():
        way_out = f"data.root={visible(data.root)} is not there any more: bring it back"
    return RunError(f"{count} cannot be read:\n{listed(told)}\n{way_out}; the same command then goes on")


def conversion(told: Sequence[str], data: Data) -> str:
    """Return the command for all photographs as telephones write them, or nothing if none of ``told`` is one."""
    if not any("(it is HEIC" in line or "(it is AVIF" in line for line in told):
        return ""
    place = "." if data.root is None else in_shell(data.root)
    convert = 'heif-convert "$1" "$1.png" && rm "$1"'
    return (
        f'for all of them type find {place} -type f -exec sh -c \'file -b --mime-type "$1" | grep -qE "hei[cf]|avif"'
        f" && {convert}' sh {{}} \\;"
    )


def listed(lines: Sequence[str]) -> str:
    """Lines below a message, of many the first."""
    more = [f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return "\n".join(f"  {line}" for line in [*lines[:NAMED], *more])


class Skipped:
    """Hears of every image that could not be read: ends the run, or says it once and keeps count.

    Args:
        data: Whether to go on.
        classes: Their names in the order of the labels.
    """

    def __init__(self, data: Data, classes: Sequence[str]) -> None:
        self.data, self.classes = data, classes
        self.names: set[str] = set()

    def hear(self, faults: Sequence[Fault]) -> None:
        """Take note of what could not be read of a batch.

        Raises:
            RunError: naming all, if the run is not to go on without them, or images are gone and not broken.
        """
        news = {fault.name: f"{fault.why} (class {visible(self.classes[fault.label])})" for fault in faults}
        if lost := [fault for fault in faults if fault.lost]:
            raise refusal(list(news.values()), self.data, lost=True, gone=any(fault.gone for fault in lost))
        if news and self.data.on_error is OnError.stop:
            raise refusal(list(news.values()), self.data)
        for name in news.keys() - self.names:
            log.warning(f"skipped: {news[name]}")
        self.names |= news.keys()

    def record(self) -> dict[str, object]:
        """What run.json says: how many images of all devices were skipped in this process's time, and some names."""
        names = [self.names]
        if distributed.is_available() and distributed.is_initialized():
            names = [set[str]()] * distributed.get_world_size()
            distributed.all_gather_object(names, self.names)
        files = sorted(set.union(*names))
        return {"count": len(files), "files": files[:NAMED]}
