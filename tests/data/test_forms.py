"""Files under an image's name that are none: named by what they are, with what to type; whole images are read."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from deit.config.image_formats import MOST_PIXELS, open_image
from deit.data.sources import ImageError
from deit.data.sources.decoding import decode
from deit.data.sources.orientation import orientation_of
from deit.data.sources.pictures import picture_of
from deit.prediction.photographs import Photograph

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def media(major: bytes, *others: bytes) -> bytes:
    brands = b"".join(others)
    return struct.pack(">I", 16 + len(brands)) + b"ftyp" + major + bytes(4) + brands + bytes(200)


def tiff_of_a_camera() -> bytes:
    """A small preview that says that it is one, and where the rest would be."""
    tags = [(254, 4, 1), (256, 3, 8), (257, 3, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (278, 3, 8)]
    tags += [(279, 4, 64), (330, 4, 120)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + bytes(64)


FORMS = {
    "HEIC": (media(b"heic", b"mif1", b"heic"), "heif-convert"),
    "HEIC of several": (media(b"mif1", b"heic"), "heif-convert"),
    "AVIF": (media(b"avif", b"mif1"), "heif-convert"),
    "a video": (media(b"isom", b"mp41"), "ffmpeg"),
    "a video of Apple's": (media(b"qt  "), "ffmpeg"),
    "a RAW photograph (CR3)": (media(b"crx ", b"isom"), "darktable-cli"),
    "a RAW photograph (CR2)": (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(99), "darktable-cli"),
    "a RAW photograph": (tiff_of_a_camera(), "darktable-cli"),
    "JPEG XL": (b"\xff\x0a" + bytes(9), "djxl"),
    "JPEG XL in a box": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(9), "djxl"),
    "PDF": (b"%PDF-1.4\n", "pdftoppm"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "gs -dSAFER"),
    "a Photoshop document (PSD)": (b"8BPS\x00\x01", "magick"),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "rsvg-convert"),
    "a web page (HTML), in place of the image": (b"\n<!DOCTYPE html><p>not found", "fetch the image again"),
    "a Git LFS pointer, in place of the image": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a zip archive": (b"PK\x03\x04abc", "unzip"),
    "text": ("Grüße".encode(), "fetch the image again"),
    "JSON": (b'{"error": 404}', "fetch the image again"),
    "nothing but zero bytes": (bytes(1000), "fetch the image again"),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_image_is_named_by_what_it_is_with_what_to_type(form: str) -> None:
    content, typed = FORMS[form]
    for read in (decode, picture_of):
        with pytest.raises(ImageError) as caught:
            read(content, "my photo.jpg")
        said = str(caught.value)
        assert said.startswith(
            f"my photo.jpg: cannot be decoded (it is {form.partition(' of ')[0].partition(' in a')[0]}"
        )
        assert typed in said and ("'my photo.jpg'" in said) == ("fetch" not in typed and "lfs" not in typed)


def test_no_format_that_calls_a_program_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("called"))
    made = io.BytesIO()
    Image.fromarray(PIXELS).save(made, "EPS")
    with pytest.raises(OSError, match="cannot identify"):
        open_image(io.BytesIO(made.getvalue()))
    with pytest.raises(ImageError, match="PostScript"):
        decode(made.getvalue(), "drawing.png")
    assert orientation_of(io.BytesIO(made.getvalue())) == 1


def test_every_image_is_opened_in_the_listed_formats_alone() -> None:
    """Pillow's own `open`, which tries all that it knows, is called in one place."""
    source = Path(__file__).parents[2] / "src"
    callers = [path.name for path in source.rglob("*.py") if "Image.open(" in path.read_text(encoding="utf-8")]
    assert callers == ["image_formats.py"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("what", ["text", "itext", "profile"])
def test_a_whole_png_with_a_large_text_or_profile_is_read(what: str, packed: bool) -> None:
    texts, made = PngImagePlugin.PngInfo(), io.BytesIO()
    if what == "text":
        texts.add_text("Comment", "x" * 70_000_000 if packed else "x" * 3_000_000, zip=packed)
    if what == "itext":
        texts.add_itxt("XML:com.adobe.xmp", "x" * 3_000_000, zip=packed)
    profile = bytes(3_000_000) if what == "profile" else None
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(made, "PNG", pnginfo=texts, icc_profile=profile, exif=exif)
    assert np.array_equal(np.asarray(decode(made.getvalue(), "a.png")), PIXELS)
    assert decode(made.getvalue(), "a.png", upright=True).size == (20, 30), "its EXIF is kept"
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(made.getvalue()[: len(made.getvalue()) - 900], "a.png")


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0" + frame


def jpeg(width: int, height: int, marker: int = 0xC0) -> bytes:
    made = io.BytesIO()
    Image.fromarray(PIXELS).save(made, "JPEG", progressive=marker == 0xC2)
    content = bytearray(made.getvalue())
    at = content.index(bytes((0xFF, marker))) + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


BOMBS = {
    "PNG": (png(13_000, 13_000), "13,000 x 13,000"),
    "PNG that Pillow refuses": (png(14_000, 14_000), "196,000,000"),
    "PNG strip": (png(170_000_000, 1), "170,000,000 x 1"),
    "GIF": (gif(13_000, 13_000), "13,000 x 13,000"),
    "GIF that Pillow refuses": (gif(65_535, 65_535), "4,294,836,225"),
    "PPM": (b"P6 13000 13000 255\n" + bytes(1000), "13,000 x 13,000"),
    "JPEG": (jpeg(13_000, 13_000), "13,000 x 13,000"),
    "progressive JPEG": (jpeg(65_000, 65_000, 0xC2), "4,225,000,000"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(bomb: str) -> None:
    content, pixels = BOMBS[bomb]
    for read in (decode, picture_of):
        with pytest.raises(ImageError) as caught:
            read(content, "big.png")
        said = str(caught.value)
        assert f"it has {pixels} pixels, and at most {MOST_PIXELS:,} are decoded" in said
        assert "vipsthumbnail big.png --size 4096" in said


def test_prediction_shrinks_a_large_jpeg_up_to_what_telephones_have() -> None:
    with pytest.raises(ImageError, match="65,000 x 65,000"):
        Photograph("-", jpeg(65_000, 65_000, 0xC2)).pixels(upright=True)
    with pytest.raises(ImageError, match="13,000 x 13,000"):
        Photograph("-", png(13_000, 13_000)).pixels(upright=True)


def test_an_image_of_any_name_is_told_on_one_line() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"", "a\nb\udce9\u202egpj.exe")
    assert str(caught.value) == r"a\nb\xe9\u202egpj.exe: cannot be decoded (the file is empty)"
