"""JPEG files decoded no further than they are needed, by libjpeg-turbo itself: Pillow's pixels, in less time.

A JPEG is a row of marked segments: FF, a byte that names the segment, two bytes of length, content. SOF holds the size,
SOS begins the coded pixels, row by row of blocks, and EOI ends the file.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from deit.config.image_formats import MOST_PIXELS

START, END = b"\xff\xd8", b"\xff\xd9"
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2  # the frames that every libjpeg decodes
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # all that are called SOF; the three others are tables
SCAN = 0xDA
DESCRIPTION = 0xE1  # APP1: EXIF or XMP, either of which may say how the camera was held
RESTART_INTERVAL = 0xDD
BLOCK = 8  # pixels


@dataclass(frozen=True, slots=True)
class Header:
    """What the segments before the coded pixels say."""

    height: int
    width: int
    height_at: int
    """Position of the height's two bytes."""
    rows: int
    """Pixel rows of one row of blocks."""
    sequential: bool
    """Whether the pixels are coded once, from top to bottom."""
    described: bool
    """Whether there is a segment in which the EXIF orientation may stand."""


def read_header(content: bytes) -> Header | None:
    """The header of a whole JPEG of 8 bits, grey or in three colours; None for anything else."""
    if content[:2] != START:
        return None
    frame: tuple[int, int] | None = None  # its marker and where it begins
    restarts = described = False
    at, end = 2, len(content) - 9
    while at < end:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at] != 0xFF or length < 2:
            return None
        if marker in FRAMES:
            frame = marker, at
        elif marker == RESTART_INTERVAL:
            restarts = content[at + 4 : at + 6] != b"\0\0"
        elif marker == DESCRIPTION:
            described = True
        elif marker == SCAN:
            # Coded pixels never hold this marker: without one after them they were cut off.
            if frame is None or content.rfind(END, at) < 0:
                return None
            scanned = content[at + 4]
            return _header(content, *frame, scanned=scanned, sequential=not restarts, described=described)
        at += 2 + length
    return None


def _header(content: bytes, marker: int, at: int, *, scanned: int, sequential: bool, described: bool) -> Header | None:
    precision, components = content[at + 4], content[at + 9]
    height, width = (int.from_bytes(content[at + i : at + i + 2], "big") for i in (5, 7))
    if marker not in (BASELINE, EXTENDED, PROGRESSIVE) or precision != 8 or components not in (1, 3):
        return None
    if not 0 < height * width <= MOST_PIXELS:  # Pillow knows what to say
        return None
    vertical = max(content[at + 11 + 3 * i] & 15 for i in range(components))
    sequential = sequential and marker != PROGRESSIVE and scanned == components
    return Header(height, width, at + 5, BLOCK * vertical, sequential, described)


def decode_rows(content: bytes, header: Header, bottom: int) -> NDArray[np.uint8]:
    """RGB pixels of at least the rows above ``bottom``, (h, W, 3) with bottom <= h <= H.

    Decoders stop where the header says that the image ends: told less, they do less. Colours are interpolated from
    the next row of blocks, so one more than needed is decoded.

    Raises:
        ValueError: libjpeg-turbo cannot decode it.
    """
    rows = (bottom // header.rows + 2) * header.rows
    if header.sequential and rows < header.height:
        cut = bytearray(content)
        cut[header.height_at : header.height_at + 2] = rows.to_bytes(2, "big")
        content = bytes(cut)
    return simplejpeg.decode_jpeg(content, colorspace="RGB", strict=False)
