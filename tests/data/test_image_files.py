"""Facts about image files: how each kind becomes RGB, and what is said of those that cannot."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deit.data.sources import ImageError
from deit.data.sources.files import ImageFiles

RED = (200, 30, 40)


def opened(path: Path) -> Image.Image:
    return ImageFiles([str(path)], np.zeros(1, dtype=np.int64)).image(0)


def test_file_names_survive_whatever_they_are_and_travel_to_loader_processes(tmp_path):
    for name in ("ünï çødé.jpg", os.fsdecode(b"latin-\xe9.jpg")):
        Image.new("RGB", (6, 4), RED).save(tmp_path / name, "JPEG")
    files = ImageFiles([str(path) for path in sorted(tmp_path.iterdir())], np.zeros(2, dtype=np.int64))
    files = pickle.loads(pickle.dumps(files))
    assert {files.image(index).size for index in range(len(files))} == {(6, 4)}
    assert Path(files.describe(0)).exists()


MODES = {
    "png": ("RGB", "L", "LA", "RGBA", "P", "1", "I;16"),
    "jpg": ("RGB", "L", "CMYK"),
    "tif": ("RGB", "L", "RGBA", "CMYK", "P", "1", "I;16", "I"),
    "pgm": ("L", "I;16"),
}


@pytest.mark.parametrize(("suffix", "mode"), [(suffix, mode) for suffix, modes in MODES.items() for mode in modes])
def test_every_mode_becomes_the_same_colour_in_rgb(tmp_path, suffix, mode):
    path = tmp_path / f"image.{suffix}"
    colour = {"1": (255, 255, 255)}.get(mode, (128, 128, 128) if mode in ("L", "LA", "I;16", "I") else RED)
    if mode in ("I;16", "I"):
        written = Image.fromarray(np.full((4, 6), 128 * 257, dtype=np.uint16 if mode == "I;16" else np.int32))
    else:
        written = Image.new("RGB", (6, 4), colour)
        written = written.quantize(2) if mode == "P" else written.convert(mode)
    assert written.mode == mode
    written.save(path, **({"progressive": True, "quality": 95} if suffix == "jpg" else {}))
    image = opened(path)
    assert (image.mode, image.size) == ("RGB", (6, 4))
    assert np.abs(np.asarray(image).astype(int) - colour).max() <= (3 if suffix == "jpg" else 0)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    values = np.array([[0, 257, 1000, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(opened(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 1, 4, 128, 255]


@pytest.mark.filterwarnings("error")
def test_transparency_of_a_palette_leaves_the_colours_and_warns_of_nothing(tmp_path):
    image = Image.new("P", (6, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    image.save(tmp_path / "palette.png", transparency=bytes([255, 0]))
    assert opened(tmp_path / "palette.png").getpixel((0, 0)) == RED


def test_the_orientation_of_exif_is_not_applied_unless_it_is_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to view
    Image.new("RGB", (6, 4), RED).save(tmp_path / "turned.jpg", exif=exif)
    assert opened(tmp_path / "turned.jpg").size == (6, 4)


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "text.jpg", "empty.png", "float.tif", "gone.jpg"])
def test_a_file_that_cannot_be_decoded_is_named(tmp_path, name):
    path = tmp_path / name
    if name.startswith("cut"):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "float.tif":
        Image.fromarray(np.full((4, 6), 0.5, dtype=np.float32)).save(path)
    elif name != "gone.jpg":
        path.write_bytes(b"" if name == "empty.png" else b"no image")
    with pytest.raises(ImageError, match=name):
        opened(path)
