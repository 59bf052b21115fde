"""Training images packed: their short side resized once, their pixels one after another in a single mapped file.

For network file systems, where a million small files are slow, and for machines with few cores, where decoding is.
Most crops are enlarged then: a packed image has fewer pixels than its file. Evaluation never sees packed images.

A folder holds ``pixels.u8``, the images' bytes; ``sizes.i32``, height and width of each, written when its pixels are on
disk; and ``identity.json``, what they are of. H, W sides in pixels.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from deit.config.errors import ConfigError, RunError
from deit.config.material import Data
from deit.data.batches import as_it_is
from deit.data.containment import refuse_links_out
from deit.data.locking import only_one
from deit.data.pixels.resize import resized
from deit.data.sources import DataSet, ImageError, ImageSource
from deit.data.sources.pictures import ArrayPicture

log = logging.getLogger(__name__)

FOLDER = Path("logs/packed")
PIXELS, SIZES, IDENTITY = "pixels.u8", "sizes.i32", "identity.json"
SCHEMA = 1
COMMITTED = 256  # images between two writes to disk: what a crash may lose
CHECKED = 16  # images compared with their files when a pack is opened
LARGEST_DIFFERENCE = 2.0  # grey levels, the mean over an image; other releases of a decoder stay below one
SAID_EVERY = 10.0  # seconds
NAMED = 20  # broken images in one message


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
            build(source, data.packed_side, folder, workers=data.workers)
    images = PackedImages(source, folder)
    images.check(data.packed_side)
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


class PackedImages:
    """The images of ``source``, packed in ``folder``."""

    def __init__(self, source: ImageSource, folder: Path) -> None:
        self.source, self.labels = source, source.labels
        self.path = folder / PIXELS
        _refuse_links(folder)
        self.sizes, self.ends = _read_sizes(folder, len(source), whole=True)

    def __len__(self) -> int:
        return len(self.labels)

    def __getstate__(self) -> dict[str, object]:
        # A map that went to a loader process by pickling would be a copy of the whole file.
        return {name: value for name, value in vars(self).items() if name != "_map"}

    @cached_property
    def _map(self) -> NDArray[np.uint8]:
        return np.memmap(self.path, np.uint8, "r")

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3), not to be written to."""
        height, width = (int(side) for side in self.sizes[index])
        end = int(self.ends[index])
        return self._map[end - 3 * height * width : end].reshape(height, width, 3)

    def picture(self, index: int) -> ArrayPicture:
        return ArrayPicture(self.pixels(index))

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels(index))

    def describe(self, index: int) -> str:
        return f"{self.source.describe(index)} (packed)"

    def check(self, side: int) -> None:
        """Compare a few images with those that they were made of.

        Raises:
            ConfigError: naming one that differs.
        """
        for index in np.linspace(0, len(self) - 1, CHECKED).astype(int).tolist():
            made = shrunk(self.source, index, side)
            same = made.shape == self.pixels(index).shape
            if not same or np.abs(made.astype(np.int16) - self.pixels(index)).mean() > LARGEST_DIFFERENCE:
                raise ConfigError(
                    f"{self.path.parent} is not of the images there are now: {self.source.describe(index)} differs;"
                    " delete that folder, and they are packed again"
                )


def _read_sizes(folder: Path, number: int, *, whole: bool) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(number, 2) height and width of the first images, and (number,) where the bytes of each end.

    whole: whether these are all; else an interrupted process may have left more bytes.
    """
    sizes = np.fromfile(folder / SIZES, np.int32, 2 * number).reshape(-1, 2)
    ends = np.cumsum(sizes.astype(np.int64).prod(axis=1) * 3)
    found = (folder / PIXELS).stat().st_size if (folder / PIXELS).is_file() else 0
    left = found - int(ends[-1])
    is_sensible = sizes.min() > 0 and sizes.max() < 2**20  # pixels; products of more could overflow
    if not is_sensible or left < 0 or (whole and left > 0):
        raise ConfigError(
            f"{folder} is damaged: {PIXELS} has {found:,} bytes, and the images in {SIZES} have others; copy it again,"
            " or delete it, and they are packed again"
        )
    return sizes, ends


def _refuse_links(folder: Path) -> None:
    for name in (PIXELS, SIZES, IDENTITY, f".{IDENTITY}"):
        refuse_links_out(folder, folder / name)


def identity_of(source: ImageSource, data: Data) -> dict[str, object]:
    """What packed images are of, as plain data. Names count from the data's root, which may be mounted elsewhere."""
    digest = hashlib.sha256(np.ascontiguousarray(source.labels).tobytes())
    for index in range(len(source)):
        digest.update(source.describe(index).removeprefix(str(data.root)).encode() + b"\0")
    return {"schema": SCHEMA, "side": data.packed_side, "images": len(source), "names and labels": digest.hexdigest()}


def claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Write what ``folder`` is going to hold, or compare it with what stands there.

    Raises:
        ConfigError: if it holds something else.
    """
    _refuse_links(folder)
    path = folder / IDENTITY
    text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{IDENTITY}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    elif path.read_bytes() != text.encode():
        raise ConfigError(
            f"data.pack_path={folder} holds other images, or of another size; pass another data.pack_path, or leave it"
            " out"
        )


def shrunk(source: ImageSource, index: int, side: int) -> NDArray[np.uint8]:
    """An image whose short side has at most ``side`` pixels: (H, W, 3)."""
    picture = source.picture(index)
    pixels = picture.rows(0, picture.height)
    short = min(picture.height, picture.width)
    if short <= side:
        return pixels
    return resized(pixels, side * picture.height // short, side * picture.width // short)


class _Shrunk(Dataset[tuple[NDArray[np.uint8] | None, str]]):
    """Images from ``first`` on, or why there is none."""

    def __init__(self, source: ImageSource, side: int, first: int) -> None:
        self.source, self.side, self.first = source, side, first

    def __len__(self) -> int:
        return len(self.source) - self.first

    def __getitem__(self, position: int) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            return shrunk(self.source, self.first + position, self.side), ""
        except ImageError as error:
            return None, str(error)


def build(source: ImageSource, side: int, folder: Path, *, workers: int) -> None:
    """Pack what is not packed yet, with so many processes besides this one; the bytes do not depend on their number.

    Raises:
        RunError: naming the images that cannot be decoded, or why nothing can be written; what is packed is kept.
    """
    sizes = folder / SIZES
    done = sizes.stat().st_size // 8 if sizes.is_file() else 0
    if done >= len(source):
        return
    log.info(f"packing {len(source) - done:,} images of {len(source):,} into {folder}, {side} pixels on the short side")
    loader = DataLoader(
        _Shrunk(source, side, done),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_one_thread,
        collate_fn=as_it_is,
        prefetch_factor=16 if workers else None,
    )
    size = int(_read_sizes(folder, done, whole=False)[1][-1]) if done else 0
    try:
        with _continued(folder / PIXELS, size) as pixels, _continued(sizes, 8 * done) as index:
            broken = _write(_said(iter(loader), len(source) - done), pixels, index)
    except OSError as error:  # a full disk, most likely
        raise RunError(
            f"{folder} takes no more ({error}); what is packed stays: make room and start again, or pass"
            " data.pack_path=<folder elsewhere>"
        ) from error
    if broken:
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise RunError(
            f"{len(broken)} of {len(source) - done} images cannot be packed:\n  "
            + "\n  ".join(broken[:NAMED])
            + f"{more}\nremove or mend them and start again: what is packed stays"
        )


def _write(images: Iterator[tuple[NDArray[np.uint8] | None, str]], pixels: BinaryIO, index: BinaryIO) -> list[str]:
    """Append images, their sizes after their pixels; from the first broken one on only look for others."""
    broken: list[str] = []
    waiting: list[tuple[int, int]] = []

    def commit() -> None:
        for file in (pixels, index):
            if file is index:
                file.write(np.array(waiting, np.int32).tobytes())
            file.flush()
            os.fsync(file.fileno())
        waiting.clear()

    for image, error in images:
        if image is None:
            broken.append(error)
        elif not broken:
            pixels.write(np.ascontiguousarray(image).tobytes())
            waiting.append((image.shape[0], image.shape[1]))
            if len(waiting) == COMMITTED:
                commit()
    commit()
    return broken


def _continued(path: Path, size: int) -> BinaryIO:
    """``path`` opened to be appended to, without what an interrupted process wrote after its first ``size`` bytes."""
    file = path.open("ab")
    file.truncate(size)
    return file


def _said(images: Iterator[tuple[NDArray[np.uint8] | None, str]], total: int) -> Iterator:
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
