"""Training images packed: their short side resized once, their pixels one after another in a single mapped file.

For network file systems, where a million small files are slow, and for machines with few cores, where decoding is.
Most crops are enlarged then: a packed image has fewer pixels than its file. Evaluation never sees packed images.

A folder holds ``pixels.u8``, the images' bytes; ``checksums.u32`` of each image's pixels, ``sources.u32`` of the file
that it was made of; ``sizes.i32``, height and width of each, written when the rest is on disk; and ``identity.json``,
what they are of. H, W sides in pixels.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from deit.config import drafts, processes
from deit.config.errors import ConfigError, RunError, written
from deit.config.material import Data, OnError
from deit.data.batches import as_it_is
from deit.data.checksums import ABSENT, CHECKSUM, block_checksum
from deit.data.containment import refuse_links_out
from deit.data.locking import only_one
from deit.data.packed_images import CHECKSUMS, PIXELS, SIZES, SOURCES, PackedImages, read_sizes, shrunk
from deit.data.probing import probe
from deit.data.sources import DataSet, ImageError, ImageSource
from deit.data.unreadable import TRIED, Fault, all_lost, fault, listed

log = logging.getLogger(__name__)

FOLDER = Path("logs/packed")
IDENTITY = "identity.json"
SCHEMA = 1
COMMITTED = 256  # images between two writes to disk: what a crash may lose
SAID_EVERY = 10.0  # seconds
NOTHING = np.empty((0, 0, 3), np.uint8)  # in the place of an image that cannot be read


def packed(dataset: DataSet, data: Data) -> DataSet:
    """``dataset`` with its training images as ``data.pack`` wants them; they are packed now if they never were.

    Raises:
        ConfigError: if ``data.pack_path`` holds other images, or is damaged.
        RunError: as `build`.
    """
    if data.packed_side is None:
        return dataset
    source = dataset.train.source
    identity = identity_of(source, data)
    folder = folder_of(identity, data)
    if _is_whole(folder, source):
        claim(folder, identity)  # nothing is written: the folder may be another's, to be read only
    else:
        with only_one(folder.with_name(f"{folder.name}.lock"), f"packing the same images into {folder}"):
            claim(folder, identity)
            build(source, data, folder)
    images = PackedImages(source, folder, data.packed_side)
    if data.on_error is OnError.stop:
        images.refuse_holes()
    if not processes.rank():  # one of them is enough
        images.check()
    return replace(dataset, train=replace(dataset.train, source=images))


def is_packed(dataset: DataSet, data: Data) -> bool:
    """Whether the training images were packed before."""
    source = dataset.train.source
    return _is_whole(folder_of(identity_of(source, data), data), source)


def _is_whole(folder: Path, source: ImageSource) -> bool:
    return (folder / SIZES).is_file() and (folder / SIZES).stat().st_size == 8 * len(source)


def folder_of(identity: Mapping[str, object], data: Data) -> Path:
    """Where images of an ``identity`` are packed."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return FOLDER / f"{data.name}-{data.packed_side}-{digest[:12]}" if data.pack_path is None else Path(data.pack_path)


def _refuse_links(folder: Path) -> None:
    for name in (PIXELS, SIZES, CHECKSUMS, SOURCES, IDENTITY):
        refuse_links_out(folder, folder / name)


def identity_of(source: ImageSource, data: Data) -> dict[str, object]:
    """What packed images are of, as plain data. Names count from the data's root, which may be mounted elsewhere."""
    digest = hashlib.sha256(np.ascontiguousarray(source.labels).tobytes())
    for index in range(len(source)):
        digest.update(source.describe(index).removeprefix(str(data.root)).encode() + b"\0")
    identity = {"side": data.packed_side, "images": len(source), "names and labels": digest.hexdigest()}
    # Said only where it is so: packs of images as they are stored keep the identity that they have always had.
    return {"schema": SCHEMA, **identity, **({"upright": True} if data.turns else {})}


def claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Write what ``folder`` is going to hold, or compare it with what stands there.

    Raises:
        ConfigError: if it holds something else.
    """
    _refuse_links(folder)
    path = folder / IDENTITY
    text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
    if not path.is_file():
        if (folder / SIZES).is_file():
            raise ConfigError(
                f"{path} is missing, so what is packed beside it is not known; copy it again, or delete {folder}, and"
                " the images are packed again"
            )
        with written(path, "nothing was packed yet"):
            folder.mkdir(parents=True, exist_ok=True)
            drafts.remove_abandoned(folder)
            drafts.replace_text(path, text)
    elif path.read_bytes() != text.encode():
        raise ConfigError(
            f"data.pack_path={folder} holds other images, or of another size or data.upright, or its {IDENTITY} is"
            " damaged; pass another data.pack_path, or leave it out; or delete that folder, and they are packed again"
        )


class Shrunk(NamedTuple):
    """Image as it is packed."""

    pixels: NDArray[np.uint8]
    probe: int
    """Checksum of the file that it was made of."""


class _Images(Dataset[Shrunk | Fault]):
    """Images from ``first`` on, or why there is none."""

    def __init__(self, source: ImageSource, side: int, first: int) -> None:
        self.source, self.side, self.first = source, side, first

    def __len__(self) -> int:
        return len(self.source) - self.first

    def __getitem__(self, position: int) -> Shrunk | Fault:
        index = self.first + position
        try:
            return Shrunk(shrunk(self.source, index, self.side), probe(self.source, index))
        except ImageError as error:
            return fault(self.source, index, error, lost=all_lost(self.source))


def build(source: ImageSource, data: Data, folder: Path) -> None:
    """Pack what is not packed yet, with ``data.workers`` processes; the bytes do not depend on their number.

    Images that cannot be read are left out under ``data.on_error=skip``: their sizes are zero.

    Raises:
        RunError: naming the images that cannot be read, or why nothing can be written; what is packed is kept.
    """
    side, workers = data.packed_side, data.workers
    assert side is not None, "asked for only where images are packed"
    sizes = folder / SIZES
    done = sizes.stat().st_size // 8 if sizes.is_file() else 0
    if done >= len(source):
        return
    log.info(f"packing {len(source) - done:,} images of {len(source):,} into {folder}, {side} pixels on the short side")
    loader = DataLoader(
        _Images(source, side, done),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_one_thread,
        collate_fn=as_it_is,
        prefetch_factor=16 if workers else None,
    )
    size = int(read_sizes(folder, done, whole=False)[1][-1]) if done else 0
    leave_out = data.on_error is OnError.skip
    kept = "what is packed stays, and data.pack_path=<folder> puts it elsewhere"
    with (
        written(folder / PIXELS, kept),
        _continued(folder / PIXELS, size) as pixels,
        _continued(folder / CHECKSUMS, 4 * done) as checksums,
        _continued(folder / SOURCES, 4 * done) as sources,
        _continued(sizes, 8 * done) as index,
    ):
        images = _said(iter(loader), len(source) - done)
        broken = _write(images, (done, size), pixels, (checksums, sources, index), leave_out=leave_out)
    told = f"{len(broken)} of {len(source) - done} images cannot be packed:\n{listed(broken)}\n"
    if broken and leave_out:
        log.warning(f"{told}they are left out")
    elif broken:
        raise RunError(f"{told}remove or mend them and start again: what is packed stays; or pass data.on_error=skip")


def _write(
    images: Iterator[Shrunk | Fault],
    begin: tuple[int, int],
    pixels: BinaryIO,
    columns: tuple[BinaryIO, BinaryIO, BinaryIO],
    *,
    leave_out: bool,
) -> list[str]:
    """Append images, then what is kept of each; after a broken one only look for others.

    begin: number of the first image, and where its pixels begin.
    columns: files of checksums, of those of the sources, and of sizes, which come last: they make an image known.
    leave_out: go on instead, with nothing in a broken one's place.

    Raises:
        RunError: if images are gone and not broken.
    """
    broken: list[str] = []
    waiting: list[tuple[int, int, tuple[int, int]]] = []
    number, at = begin

    def commit() -> None:
        _synced(pixels)
        for file, values, kind in zip(
            columns, zip(*waiting, strict=True), (CHECKSUM, CHECKSUM, np.int32), strict=False
        ):
            file.write(np.array(values, kind).tobytes())
            _synced(file)
        waiting.clear()

    for image in images:
        if isinstance(image, Fault):
            if image.lost:
                mend = "bring the images back" if image.gone else "replace them by whole images"
                raise RunError(
                    f"{image.why}, nor can {TRIED} others be read: {mend} and start again: what is packed stays"
                )
            broken.append(image.why)
            image = Shrunk(NOTHING, ABSENT)
        if leave_out or not broken:
            content, (height, width, _) = np.ascontiguousarray(image.pixels).reshape(-1), image.pixels.shape
            pixels.write(content.tobytes())
            waiting.append((block_checksum(content, number, height, width, at=at), image.probe, (height, width)))
            number, at = number + 1, at + len(content)
            if len(waiting) == COMMITTED:
                commit()
    commit()
    return broken


def _synced(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _continued(path: Path, size: int) -> BinaryIO:
    """``path`` opened to be appended to, without what an interrupted process wrote after its first ``size`` bytes."""
    file = path.open("ab")
    file.truncate(size)
    return file


def _said(images: Iterator[Shrunk | Fault], total: int) -> Iterator[Shrunk | Fault]:
    """``images``, and every now and then how many there were."""
    began = last = time.monotonic()
    for count, image in enumerate(images, 1):
        yield image
        now = time.monotonic()
        if now - last > SAID_EVERY or count == total:
            last = now
            speed = count / max(now - began, 1e-9)
            log.info(
                f"packed {count:,} of {total:,} images, {speed:,.0f} a second, {(total - count) / speed:,.0f} s left"
            )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
