"""Image files become RGB, by Pillow, in the formats that are listed here and up to a size."""

import re
import warnings
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from deit.config.errors import RunError, in_shell, visible
from deit.config.image_formats import MOST_PIXELS, open_image
from deit.data.sources.forms import RAW, Form, form_of, is_raw, is_raw_by
from deit.data.sources.orientation import AS_STORED, orientation, turned

SHOWN = 8  # bytes of a file that is no image: what it begins with tells what it is
LONG_CHUNK = 2**20  # bytes of a text or profile in a PNG from which Pillow takes the file for an attack
PNG, PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt", b"iCCP")

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MOST_PIXELS is our own limit


class ImageError(RunError):
    """An image that cannot be decoded; the message names its file or position."""

    is_gone = False
    """Whether the file cannot be read at all, rather than not be decoded."""


class GoneError(ImageError):
    """An image whose file cannot be read: it was moved, or its disk is not there."""

    is_gone = True


def read_file(path: str, name: str) -> bytes:
    """The content of an image file; raises ImageError under the ``name`` it is called by."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib's way takes five times as long
            return file.read()
    except OSError as error:
        raise GoneError(f"{visible(name)}: cannot be read ({error.strerror})") from error


def decode(content: bytes, name: str, *, upright: bool = False) -> Image.Image:
    """Decode the content of an image file, whatever its suffix says; of an animation the first frame.

    Args:
        content: The file's bytes.
        name: What to call it in a message.
        upright: Whether it is turned as its EXIF orientation says (`Data.upright`).

    Returns:
        Image of mode RGB.

    Raises:
        ImageError: Empty, broken, truncated, too large, no image, or of a kind whose values have no known range.
    """
    if not content:
        raise ImageError(f"{visible(name)}: cannot be decoded (the file is empty)")
    try:
        return _decoded(content, name, upright=upright)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        counted = re.search(r"\d{6,}", str(error))  # Pillow's own words, which have the number
        raise too_large(name, f"{int(counted[0]):,}" if counted else "too many") from error
    except UnidentifiedImageError as error:
        raise _no_image(content, name) from error
    except ValueError as error:
        slim = without_texts(content)
        if slim is None:
            raise ImageError(f"{visible(name)}: cannot be decoded ({error})") from error
        return decode(slim, name, upright=upright)
    except Exception as error:  # on damaged bytes PIL's decoders raise nearly anything, SyntaxError included
        raise ImageError(f"{visible(name)}: cannot be decoded ({type(error).__name__}: {error})") from error


def _decoded(content: bytes, name: str, *, upright: bool) -> Image.Image:
    with open_image(BytesIO(content)) as image:
        if image.width * image.height > MOST_PIXELS:
            raise too_large(name, f"{image.width:,} x {image.height:,}")
        if image.format == "TIFF" and (is_raw(content) or is_raw_by(getattr(image, "tag_v2", {}))):
            raise _no_image(content, name, Form.of(RAW, name))
        image.load()
        stored_in = orientation(image) if upright else AS_STORED
        rgb = _rgb(image)
        return rgb if stored_in == AS_STORED else Image.fromarray(turned(np.asarray(rgb), stored_in))


def too_large(name: str, pixels: str) -> ImageError:
    """The error for an image of more pixels than are decoded."""
    file = in_shell(name)
    return ImageError(
        f"{visible(name)}: cannot be decoded (it has {pixels} pixels, and at most {MOST_PIXELS:,} are decoded, as"
        f" many as 11,585 x 11,585 have); shrink it: type vipsthumbnail {file} --size 4096 -o {in_shell(f'{name}.png')}"
        " (Debian's package libvips-tools)"
    )


def _no_image(content: bytes, name: str, form: Form | None = None) -> ImageError:
    """The error for a file that is none of the formats that are read, by what it is."""
    form = form or form_of(content, name)
    if form is None:
        return ImageError(f"{visible(name)}: cannot be decoded (no image begins with {content[:SHOWN]!r})")
    return ImageError(f"{visible(name)}: cannot be decoded (it is {form.name}{form.whatever}); {form.advice}")


def without_texts(content: bytes) -> bytes | None:
    """Return a PNG without its long texts and colour profile, which say nothing of its pixels; None if it has none.

    Pillow refuses texts that unpack to more than a megabyte, and with them a whole image.
    """
    if not content.startswith(PNG):
        return None
    kept, at = [PNG], len(PNG)
    while at + 8 <= len(content):
        kind, end = content[at + 4 : at + 8], at + 12 + int.from_bytes(content[at : at + 4], "big")
        if kind not in PNG_TEXTS or _is_short(content[at + 8 : end - 4], kind):
            kept.append(content[at:end])
        at = end
    slim = b"".join(kept)
    return slim if len(slim) < len(content) else None


def _is_short(chunk: bytes, kind: bytes) -> bool:
    """Return True for a chunk that Pillow reads; what is packed is unpacked no further than to see that it is long."""
    _, _, rest = chunk.partition(b"\x00")
    if kind == b"iTXt":
        if rest[:1] != b"\x01":
            return len(chunk) < LONG_CHUNK // 64
        rest = rest.split(b"\x00", 3)[-1]
    elif kind != b"tEXt":
        rest = rest[1:]
    else:
        return len(chunk) < LONG_CHUNK // 64
    try:
        return len(zlib.decompressobj().decompress(rest, LONG_CHUNK // 64)) < LONG_CHUNK // 64
    except zlib.error:
        return False


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # PIL's own conversion clips at 255 and would leave a white image. It reads 16-bit PNG and PGM
        # as "I" or "I;16", depending on its release, with values up to 65535 = 257 * 255 in both.
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range; convert the file to 8 or 16 bits")
    if image.mode in ("P", "PA"):
        # Through RGBA: straight to RGB, PIL warns about transparency that is kept as bytes. Transparent
        # pixels keep the colour stored under them, as those of RGBA files do.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
