"""JPEGs decoded as far as they are needed: Pillow's pixels, or Pillow's answer where the file is another kind."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deit.data.sources import ImageError, jpeg
from deit.data.sources.files import ImageFiles
from deit.data.sources.pictures import ArrayPicture, JpegPicture, picture_of


def photo(width: int = 150, height: int = 130) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    colours = [255 * x / width, 255 * y / height, 127 + 127 * np.sin(x / 5 + y / 7)]
    return Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, **settings: object) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


KINDS = {
    "4:2:0": encoded(photo(), subsampling=2),
    "4:2:2": encoded(photo(), subsampling=1),
    "4:4:4": encoded(photo(), subsampling=0),
    "grey": encoded(photo().convert("L")),
    "progressive": encoded(photo(), progressive=True),
    "restart markers": encoded(photo(), restart_marker_blocks=3),
    "optimised": encoded(photo(), optimize=True, quality=30),
    "with a thumbnail": encoded(photo(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" + encoded(photo(20, 20))),
    "with a comment": encoded(photo(), comment=b"\xff\xd9 is no end here"),
    "and more after its end": encoded(photo()) + b"\0" * 3000,
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_rows_are_pillows(kind: str) -> None:
    content = KINDS[kind]
    expected = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    picture = picture_of(content, kind)
    assert isinstance(picture, JpegPicture)
    assert (picture.height, picture.width) == expected.shape[:2]
    for top, bottom in [(0, 130), (0, 1), (0, 7), (5, 16), (9, 17), (40, 64), (63, 66), (97, 129), (129, 130)]:
        assert (picture.rows(top, bottom) == expected[top:bottom]).all(), (top, bottom)


def test_only_what_is_coded_from_top_to_bottom_is_cut() -> None:
    headers = {kind: jpeg.read_header(content) for kind, content in KINDS.items()}
    told = {kind: (header.rows, header.sequential) for kind, header in headers.items() if header is not None}
    assert told["4:2:0"] == (16, True)
    assert told["4:4:4"] == told["grey"] == (8, True)
    assert not told["progressive"][1]
    assert not told["restart markers"][1]
    assert jpeg.decode_rows(KINDS["4:2:0"], headers["4:2:0"], 20).shape == (48, 150, 3)  # type: ignore[arg-type]


OTHERS = {
    "CMYK": encoded(photo().convert("CMYK")),
    "PNG": (lambda file: (photo().save(file, "PNG"), file.getvalue())[1])(BytesIO()),
    "WebP": (lambda file: (photo().save(file, "WEBP"), file.getvalue())[1])(BytesIO()),
    "16 bits": (
        lambda file: (Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(file, "PNG"), file.getvalue())[1]
    )(BytesIO()),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_are_pillows_to_decode(kind: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(OTHERS[kind])
    source = ImageFiles([str(tmp_path / "image")], np.zeros(1, np.int64))
    picture = source.picture(0)
    assert isinstance(picture, ArrayPicture)
    assert (picture.rows(2, 7) == np.asarray(source.image(0))[2:7]).all()


def test_a_form_of_jpeg_that_libjpeg_turbo_refuses_is_pillows_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("unknown subsampling")

    monkeypatch.setattr(jpeg, "decode_rows", refuse)
    picture = picture_of(KINDS["4:2:0"], "x")
    assert (picture.rows(3, 9) == np.asarray(Image.open(BytesIO(KINDS["4:2:0"])))[3:9]).all()


@pytest.mark.parametrize("kind", ["4:2:0", "progressive", "with a thumbnail"])
def test_what_was_cut_off_is_named(kind: str) -> None:
    content = KINDS[kind]
    for length in (0, 1, 2, 10, 200, len(content) // 2, len(content) - 3):
        with pytest.raises(ImageError, match="holiday: cannot be decoded"):
            picture_of(content[:length], "holiday")


def test_damage_never_does_worse_than_an_error() -> None:
    """Bytes changed at random: pixels of the right size, or an ImageError."""
    generator = np.random.default_rng(0)
    for kind in ("4:2:0", "progressive", "grey"):
        for _ in range(150):
            content = bytearray(KINDS[kind])
            for position in generator.integers(0, len(content), 3):
                content[position] = generator.integers(0, 256)
            try:
                picture = picture_of(bytes(content), "damaged")
                rows = picture.rows(0, picture.height)
            except ImageError:
                continue
            assert rows.shape == (picture.height, picture.width, 3)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    source = ImageFiles([str(tmp_path / "gone.jpg")], np.zeros(1, np.int64))
    with pytest.raises(ImageError, match=r"gone\.jpg: cannot be read \(No such file or directory\)"):
        source.picture(0)
