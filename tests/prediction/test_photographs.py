"""Which images are meant, and how their files become upright pixels: as for training, whatever their format."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.data.sources import ImageError
from deit.data.sources.files import ImageFiles
from deit.data.views import EvalView
from deit.prediction import photographs
from deit.prediction.photographs import PIPED, Photograph, find_photographs

UPRIGHT = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
ORIENTATION = 0x0112

STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda v: v,
    2: lambda v: v[:, ::-1],
    3: lambda v: v[::-1, ::-1],
    4: lambda v: v[::-1],
    5: lambda v: v.transpose(1, 0, 2),
    6: lambda v: v.transpose(1, 0, 2)[::-1],
    7: lambda v: v.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda v: v.transpose(1, 0, 2)[:, ::-1],
}
"""By EXIF 2.32: of 6, for one, the first row is the visual right side and the first column the visual top."""


def names(images: str | None) -> list[str]:
    return [one.name for one in find_photographs(images)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to type names in, with photographs below it."""
    for name in ("b.png", "deep/er/a.jpg", "deep/c,d.png", "deep/notes.txt", "odd[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(UPRIGHT).save(tmp_path / name, "PNG")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put bytes into standard input."""
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("images", "found"),
    [
        ("b.png", ["b.png"]),
        ("deep", ["deep/c,d.png", "deep/er/a.jpg"]),
        ("deep/**/*.jpg", ["deep/er/a.jpg"]),
        ("*.png", ["b.png", "odd[1].png"]),
        ("odd[1].png", ["odd[1].png"]),
        ("deep/c,d.png", ["deep/c,d.png"]),
        ("b.png,deep,b.png", ["b.png", "deep/c,d.png", "deep/er/a.jpg"]),
        ("deep/notes.txt", ["deep/notes.txt"]),
    ],
)
def test_files_folders_and_patterns_are_found_in_order_and_once(here: Path, images: str, found: list[str]) -> None:
    assert names(images) == found


def test_everything_that_is_not_there_is_told_at_once(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(ConfigError) as error:
        find_photographs("empty,nowhere.jpg,*.webp,b.png")
    told = str(error.value)
    assert "3 problems" in told
    assert "empty holds no image; possible: .bmp .gif" in told
    assert "nowhere.jpg is not there; pass images=" in told
    assert "no file is called like *.webp" in told
    with pytest.raises(ConfigError, match="images=, names nothing"):
        find_photographs(",")


@pytest.mark.parametrize("images", ["-", None])
def test_a_pipe_holds_a_path_a_line(here: Path, pipe: Callable[[bytes], None], images: str | None) -> None:
    pipe(b"b.png\r\n\ndeep\nb.png\ngone \xff.jpg\n")
    assert names(images) == ["b.png", "deep/c,d.png", "deep/er/a.jpg", os.fsdecode(b"gone \xff.jpg")]


def test_a_pipe_holds_one_image(here: Path, pipe: Callable[[bytes], None]) -> None:
    content = (here / "b.png").read_bytes()
    pipe(content)
    (found,) = find_photographs("-")
    assert found == Photograph(PIPED, content)
    assert np.array_equal(found.pixels(upright=True), UPRIGHT)
    pipe(content[: len(content) // 2])
    (cut,) = find_photographs("-")
    with pytest.raises(ImageError, match=f"{PIPED}: cannot be decoded"):
        cut.pixels(upright=True)


def test_an_empty_pipe_is_refused(pipe: Callable[[bytes], None]) -> None:
    pipe(b" \n")
    with pytest.raises(ConfigError, match="standard input holds no image and no path"):
        find_photographs(None)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_a_photograph_is_upright_however_the_camera_was_held(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = tmp_path / f"photo.{suffix}"
    stored = STORED[orientation](np.kron(UPRIGHT, np.ones((16, 16, 1), np.uint8)))  # blocks: what a JPEG keeps
    Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif, lossless=True, quality=95, subsampling=0)
    pixels = Photograph(str(file)).pixels(upright=True)
    assert pixels.shape == (320, 480, 3)
    apart = np.abs(pixels[8::16, 8::16].astype(int) - UPRIGHT)
    assert apart.max() <= (4 if suffix == "jpg" else 0)
    if suffix != "tif":  # which Pillow turns itself, for training too
        assert Photograph(str(file)).pixels(upright=False).shape == stored.shape


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_spoilt_record_of_the_orientation_says_nothing(tmp_path: Path) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(Photograph(str(tmp_path / "a.png")).pixels(upright=True), UPRIGHT)


def odd_files(folder: Path) -> list[Path]:
    """A file of each kind that a folder of photographs may hold, named after what it is."""
    picture = Image.fromarray(np.kron(UPRIGHT, np.ones((3, 3, 1), np.uint8)))
    grey = picture.convert("L")
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    seen_through = Image.merge("LA", [grey, grey.point(lambda value: 255 - value)])
    picture.save(folder / "baseline.jpg")
    picture.save(folder / "progressive.jpg", progressive=True)
    grey.save(folder / "grey.jpg")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.quantize(16).save(folder / "palette.png")
    sixteen.save(folder / "sixteen.png")
    seen_through.save(folder / "seen_through.png")
    picture.convert("1").save(folder / "one_bit.tif")
    picture.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", picture.size, "white")])
    picture.save(folder / "lossy.webp")
    picture.save(folder / "plain.ppm")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("decode", ["fast", "reference"])
def test_every_format_is_seen_as_evaluation_sees_it(config: Callable[..., Config], tmp_path: Path, decode: str) -> None:
    files = odd_files(tmp_path)
    assert len(files) == 11
    view = EvalView(config("data=cifar10", f"data.decode={decode}").data, image_size=28, crop=0.875)
    source = ImageFiles([str(file) for file in files], np.zeros(len(files), np.int64))
    for index, file in enumerate(files):
        assert torch.equal(view.of_pixels(Photograph(str(file)).pixels(upright=True)), view.of(source, index)), file


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    for name, why in (("page.jpg", "it is a web page"), ("gone.jpg", "No such file"), (".", "directory")):
        with pytest.raises(ImageError, match=why):
            Photograph(str(tmp_path / name)).pixels(upright=True)


def test_a_jpeg_beyond_what_pillow_decodes_is_seen_at_an_eighth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.kron(UPRIGHT, np.ones((16, 16, 1), np.uint8))).save(tmp_path / "large.jpg", quality=95)
    Image.fromarray(np.kron(UPRIGHT, np.ones((16, 16, 1), np.uint8))).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)  # 320 x 480 are more than twice as many
    monkeypatch.setattr(photographs, "MOST_PIXELS", 100_000)
    assert Photograph(str(tmp_path / "large.jpg")).pixels(upright=True).shape == (40, 60, 3)
    with pytest.raises(ImageError, match=r"large\.png: cannot be decoded .it has 153,600 pixels"):
        Photograph(str(tmp_path / "large.png")).pixels(upright=True)


def test_a_huge_jpeg_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    Image.new("L", (15_000, 15_000), 128).save(tmp_path / "huge.jpg")
    program = (
        "import resource, sys; from deit.prediction.photographs import Photograph;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "shape = Photograph(sys.argv[1]).pixels(upright=True).shape;"
        "print(shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    line = [sys.executable, "-c", program, str(tmp_path / "huge.jpg")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    shape, _, grown = done.stdout.rpartition(" ")
    assert shape == "(1875, 1875, 3)"
    assert int(grown) < 200_000, "kB; whole it would be 675,000"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"%PDF-1.7\n", r"a b\.jpg must be an image, got a PDF\. Type pdftoppm -png -r 150 '.*/a b\.jpg' page"),
        (b"\0\0\0\x18ftypisom\0\0", r"got a video\. Type ffmpeg -i '.*/a b\.jpg' -vf fps=1 frame-%04d\.jpg"),
        (b"\x1aE\xdf\xa3\x9f", "got a video"),
        (b"RIFF\0\0\0\0AVI LIST", "got a video"),
        (b"\0\0\0\x18ftypheic\0\0", "cannot be decoded"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "cannot be decoded"),
    ],
)
def test_a_pdf_or_video_is_named_with_what_to_type(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "a b.jpg"
    file.write_bytes(content)
    with pytest.raises(ImageError, match=told):
        Photograph(str(file)).pixels(upright=True)
