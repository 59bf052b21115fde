"""Which images are meant, and how their files become upright pixels. Shapes: H, W sides in pixels."""

import contextlib
import glob
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from deit.config import words
from deit.config.errors import ConfigError, visible
from deit.config.image_files import IMAGE_SUFFIXES, images_below
from deit.config.image_formats import MOST_PIXELS, open_image
from deit.data.sources.decoding import ImageError, decode, read_file, too_large
from deit.data.sources.orientation import AS_STORED, orientation, orientation_of, turned

STANDARD_INPUT = "-"
PIPED = "standard input"
"""What an image that came through a pipe is called."""
MOST_REDUCED = 2 * MOST_PIXELS
"""Pixels of the largest JPEG that is shrunk while it is decoded: those of a telephone have 200 million."""
REDUCED = 8
"""By how much a larger JPEG is shrunk while it is decoded: the most that the format can."""
ALONE = 2**25  # pixels; 100 MB each: larger ones are decoded one at a time

_IMAGE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
"""Of files in the ISO format that are images: HEIF and AVIF."""

_alone = threading.Lock()


@dataclass(frozen=True)
class Photograph:
    """An image file, or its content where it came through a pipe."""

    name: str
    """Its path as a person would type it."""
    content: bytes | None = None

    def pixels(self, *, upright: bool) -> NDArray[np.uint8]:
        """(H, W, 3) RGB, decoded as for training; turned as its EXIF orientation says, if it is to be ``upright``.

        Raises:
            ImageError: naming it, if it cannot be read or decoded.
        """
        content = read_file(self.name, self.name) if self.content is None else self.content
        if (kind := _other_kind(content)) is not None:
            raise ImageError(f"{self.name} must be an image, got {kind.format(name=shlex.quote(self.name))}")
        pixels = _num_pixels(content)
        with _alone if pixels > ALONE else contextlib.nullcontext():
            image = (_reduced if pixels > MOST_PIXELS else decode)(content, self.name, upright=upright)
            return np.array(image)

    @property
    def is_turned(self) -> bool:
        """Whether its EXIF orientation says that it does not stand upright as it is stored."""
        return orientation_of(self.name if self.content is None else BytesIO(self.content)) != AS_STORED


def _other_kind(content: bytes) -> str | None:
    """Return what a PDF or a video is, and what to type to get images of it; None for other content."""
    if content.startswith(b"%PDF-"):
        return "a PDF. Type pdftoppm -png -r 150 {name} page and pass images='page*.png'."
    is_mp4 = content[4:8] == b"ftyp" and content[8:12] not in _IMAGE_BRANDS
    is_avi = content.startswith(b"RIFF") and content[8:12] == b"AVI "
    if is_mp4 or is_avi or content.startswith(b"\x1aE\xdf\xa3"):  # the last one: Matroska and WebM
        return "a video. Type ffmpeg -i {name} -vf fps=1 frame-%04d.jpg and pass images='frame-*.jpg'."
    return None


def find_photographs(images: str | None) -> list[Photograph]:
    """The photographs that ``images`` names, in their order, each once; folders are searched at any depth.

    Raises:
        ConfigError: naming everything that is not there or holds no image.
    """
    if images is None or images == STANDARD_INPUT:
        return _piped(sys.stdin.buffer.read())
    is_pattern = glob.has_magic(images) and any(glob.iglob(images, recursive=True))  # noqa: PTH207 - absolute ones too
    entries = [images] if is_pattern else words.listed(images)
    found: dict[str, None] = {}
    problems: list[str] = []
    for entry in entries:
        paths = list(_paths(entry))
        found |= dict.fromkeys(paths)
        if not paths:
            problems.append(_nothing_in(entry))
    if problems or not found:
        raise ConfigError.of(problems or [f"images={images} names nothing; pass images=photo.jpg"])
    return [Photograph(path) for path in found]


def _paths(entry: str) -> Iterator[str]:
    """The files that one name stands for; a name that exists is no pattern, whatever brackets it has."""
    for path in [entry] if words.exists(entry) else sorted(glob.glob(entry, recursive=True)):  # noqa: PTH207 - absolute ones too
        if Path(path).is_dir():
            yield from map(str, images_below(Path(path)))
        else:
            yield path


def _nothing_in(entry: str) -> str:
    if Path(entry).is_dir():
        possible = " ".join(sorted(IMAGE_SUFFIXES))
        return f"{visible(entry)} holds no image; possible: {possible}; pass another folder, or a file"
    if glob.has_magic(entry):
        ways = "pass images=<file, folder or pattern>, a pattern such as 'photos/*.jpg'"
        return f"no file is called like {visible(entry)}; {ways}"
    return f"{visible(entry)} is not there; pass images=<file, folder or pattern>"


def _piped(content: bytes) -> list[Photograph]:
    """The photographs of a pipe: one image's content, or a path a line."""
    if not content.strip():
        raise ConfigError("standard input holds no image and no path; pass images=photo.jpg")
    if b"\0" in content or _num_pixels(content):  # no path has that byte, nearly every image file does
        return [Photograph(PIPED, content)]
    lines = dict.fromkeys(os.fsdecode(line) for line in content.splitlines() if line.strip())
    return [Photograph(path) for line in lines for path in list(_paths(line)) or [line]]


def _num_pixels(content: bytes) -> int:
    """H times W as the file's header has it; 0 where it is none that Pillow knows, and `decode` knows what to say."""
    try:
        with open_image(BytesIO(content)) as image:
            return image.width * image.height
    except UnidentifiedImageError:
        return 0
    except Image.DecompressionBombError:
        return MOST_PIXELS + 1
    except Exception:  # on damaged bytes PIL's readers raise nearly anything
        return 0


def _reduced(content: bytes, name: str, *, upright: bool) -> Image.Image:
    """A JPEG that is too large to be decoded whole, at an eighth of its sides."""
    try:
        image = JpegImageFile(BytesIO(content))
        if image.width * image.height > MOST_REDUCED:
            raise too_large(name, f"{image.width:,} x {image.height:,}")
        image.draft("RGB", (image.width // REDUCED, image.height // REDUCED))
        pixels = np.asarray(image.convert("RGB"))
        return Image.fromarray(turned(pixels, orientation(image)) if upright else pixels)
    except ImageError:
        raise
    except SyntaxError:  # no JPEG
        return decode(content, name, upright=upright)
    except Exception as error:  # as above
        raise ImageError(f"{visible(name)}: cannot be decoded ({type(error).__name__}: {error})") from error
