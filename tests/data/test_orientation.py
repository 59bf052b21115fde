"""Photographs upright: what Pillow makes of all eight orientations, in every way that an image is read."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.data import packing
from deit.data.packing import packed
from deit.data.sources import DataSet, open_dataset
from deit.data.sources.files import ImageFiles
from deit.data.sources.orientation import orientation_of
from deit.data.sources.pictures import JpegPicture, TurnedPicture, picture_of
from deit.training.teachers import data_identity

ORIENTATION = 0x0112
ALL = range(1, 9)


def photo(width: int = 90, height: int = 62) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    colours = [255 * x / width, 255 * y / height, 127 + 127 * np.sin(x / 5 + y / 7)]
    return Image.fromarray(np.stack(colours, axis=-1).astype(np.uint8))


def exif(orientation: object) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    file = BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def read(content: bytes, folder: Path, *, upright: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a file in the reference's way and in the fast way."""
    (folder / "image").write_bytes(content)
    source = ImageFiles([str(folder / "image")], np.zeros(1, np.int64), upright=upright)
    picture = source.picture(0)
    pixels = picture.rows(0, picture.height)
    assert pixels.shape == (picture.height, picture.width, 3)
    assert (picture.rows(7, 30) == pixels[7:30]).all()
    return np.asarray(source.image(0)), pixels


def grey_of_16_bits() -> Image.Image:
    return Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257)


FORMS: dict[str, Callable[[Image.Exif], bytes]] = {
    "JPEG": lambda e: encoded(photo(), "JPEG", exif=e),
    "progressive JPEG": lambda e: encoded(photo(), "JPEG", exif=e, progressive=True),
    "grey JPEG": lambda e: encoded(photo().convert("L"), "JPEG", exif=e),
    "CMYK JPEG": lambda e: encoded(photo().convert("CMYK"), "JPEG", exif=e),
    "PNG": lambda e: encoded(photo(), "PNG", exif=e),
    "palette PNG": lambda e: encoded(photo().quantize(16), "PNG", exif=e),
    "WebP": lambda e: encoded(photo(), "WEBP", exif=e, lossless=True),
    "TIFF": lambda e: encoded(photo(), "TIFF", exif=e),
}


@pytest.mark.parametrize("orientation", ALL)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_turned_as_pillow_turns_it(form: str, orientation: int, tmp_path: Path) -> None:
    content = FORMS[form](exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("RGB"))
    for pixels in read(content, tmp_path, upright=True):
        assert np.array_equal(pixels, expected)
    if form != "TIFF":  # which Pillow turns whatever it is asked
        stored = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
        for pixels in read(content, tmp_path, upright=False):
            assert np.array_equal(pixels, stored)


@pytest.mark.parametrize("orientation", ALL)
def test_sixteen_bits_are_scaled_and_turned(orientation: int, tmp_path: Path) -> None:
    content = encoded(grey_of_16_bits(), "PNG", exif=exif(orientation))
    eight_bits = encoded(photo().convert("L"), "PNG", exif=exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(eight_bits))).convert("RGB"))
    for pixels in read(content, tmp_path, upright=True):
        assert np.array_equal(pixels, expected)


def test_only_what_is_to_be_turned_is_decoded_whole() -> None:
    kinds = {o: picture_of(encoded(photo(), "JPEG", exif=exif(o)), "x", upright=True) for o in ALL}
    assert isinstance(kinds.pop(1), JpegPicture)
    assert all(isinstance(picture, TurnedPicture) for picture in kinds.values())
    assert isinstance(picture_of(encoded(photo(), "JPEG"), "x", upright=True), JpegPicture)


def test_a_jpeg_that_says_nothing_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deit.data.sources.pictures.orientation_of", None)  # would fail if it were called
    picture_of(encoded(photo(), "JPEG"), "x", upright=True)
    picture_of(encoded(photo(), "JPEG", exif=exif(6)), "x", upright=False)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def test_an_orientation_in_xmp_counts_as_for_pillow(tmp_path: Path) -> None:
    content = encoded(photo(), "JPEG", xmp=XMP)
    for pixels in read(content, tmp_path, upright=True):
        assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(content)))))


BLOCKS = {
    "cut off": exif(6).tobytes()[:18],
    "noise": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "empty": b"Exif\0\0",
    "not said": Image.Exif().tobytes(),
    "zero": exif(0).tobytes(),
    "nine": exif(9).tobytes(),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_block_that_says_nothing_sensible_leaves_the_image_as_it_is(form: str, block: str, tmp_path: Path) -> None:
    content = encoded(photo(), form, exif=BLOCKS[block])
    stored = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    for pixels in read(content, tmp_path, upright=True):
        assert np.array_equal(pixels, stored)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data|Tag data larger than file:UserWarning")
def test_damaged_blocks_never_do_worse_than_saying_nothing() -> None:
    generator = np.random.default_rng(0)
    whole = encoded(photo(20, 20), "JPEG", exif=exif(6))
    for _ in range(300):
        content = bytearray(whole)
        for position in generator.integers(0, 60, 3):
            content[position] = generator.integers(0, 256)
        assert orientation_of(BytesIO(bytes(content))) in ALL


@pytest.fixture
def opened(config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DataSet]:
    """A folder of two classes with all orientations, its training images packed, in an empty folder."""
    for number, orientation in enumerate([*ALL, *ALL]):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        photo(90 + number, 62).save(file, exif=exif(orientation))
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> DataSet:
        data = config("data=folder", "data.root=photos", "data.pack=500", *overrides).data
        return packed(open_dataset(data), data)

    return run


def test_a_pack_holds_what_pillow_turns(opened: Callable[..., DataSet]) -> None:
    for upright in (True, False):
        images = opened(f"data.upright={str(upright).lower()}").train.source
        for index in range(len(images)):
            file = Image.open(images.source.describe(index))  # type: ignore[attr-defined]
            expected = ImageOps.exif_transpose(file) if upright else file
            assert np.array_equal(np.asarray(images.image(index)), np.asarray(expected))


def test_a_pack_of_turned_images_is_not_taken_for_one_of_stored_ones(opened: Callable[..., DataSet]) -> None:
    opened("data.pack_path=pack")
    with pytest.raises(ConfigError, match=r"data\.pack_path=pack holds other images, or of another size or data\.upri"):
        opened("data.pack_path=pack", "data.upright=false")


def test_images_as_stored_keep_the_identities_that_they_had(
    opened: Callable[..., DataSet], config: Callable[..., Config]
) -> None:
    identities = []
    for upright in ("true", "false"):
        data = config("data=folder", "data.root=photos", "data.pack=500", f"data.upright={upright}").data
        dataset = open_dataset(data)
        identities.append((packing.identity_of(dataset.train.source, data), data_identity(dataset, data)))
    (turned, turned_hash), (stored, stored_hash) = identities
    assert stored.keys() == {"schema", "side", "images", "names and labels"}
    assert turned == stored | {"upright": True}
    assert turned_hash != stored_hash


@pytest.mark.parametrize("embedded", [True, False], ids=["bytes", "paths"])
def test_a_table_of_hugging_face_is_turned_too(embedded: bool, config: Callable[..., Config], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra is not installed: pip install 'deit[hf]'")
    contents = [encoded(photo(), "JPEG", exif=exif(orientation)) for orientation in (*ALL, *ALL)]
    files = [tmp_path / f"{number}.jpg" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    images = [{"bytes": content, "path": None} for content in contents] if embedded else list(map(str, files))
    table = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 8}).cast_column("image", datasets.Image())
    table.save_to_disk(tmp_path / "table")
    for upright in (True, False):
        made = config("data=hf", f"data.path={tmp_path / 'table'}", f"data.upright={str(upright).lower()}")
        source = open_dataset(made.data).train.source
        for number, content in enumerate(contents):
            image = Image.open(BytesIO(content))
            expected = np.asarray(ImageOps.exif_transpose(image) if upright else image)
            picture = source.picture(number)
            for pixels in (np.asarray(source.image(number)), picture.rows(0, picture.height)):
                assert np.array_equal(pixels, expected)


def test_a_persons_own_files_are_turned_and_published_sets_are_not(config: Callable[..., Config]) -> None:
    for own in ("folder", "hf"):
        assert config(f"data={own}").data.upright
    for published in ("imagenet", "inat2018", "inat2019", "cars", "flowers102", "cifar10", "digits"):
        assert not config(f"data={published}").data.upright
