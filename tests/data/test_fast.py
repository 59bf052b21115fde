"""The fast views are the reference's: draw for draw, and pixel for pixel within rounding."""

import math
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deit.config.material import Decode
from deit.config.schema import Config
from deit.data.keys import seed_globals
from deit.data.pixels import operations, points, resize, warps
from deit.data.policies import array_policy, policy
from deit.data.sources.files import ImageFiles
from deit.data.sources.pictures import ArrayPicture
from deit.data.views import EvalView, TrainView

MEAN = (0.485, 0.456, 0.406)
FILL = (124, 116, 104)


def photo(width: int = 90, height: int = 70, seed: int = 0) -> Image.Image:
    """Smooth colours under some noise, with bright and dark corners."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = [255 * x / width, 255 * y / height, 127 + 127 * np.sin(x / 9 + y / 13)]
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(smooth, axis=-1) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """JPEGs, wide and high, smaller and larger than a view, a PNG, and one JPEG in each orientation that is turned."""
    folder = tmp_path_factory.mktemp("photos")
    sizes = [(200, 150), (150, 200), (90, 300), (300, 90), (64, 64), (40, 30), (500, 375), (333, 500)]
    for number, (width, height) in enumerate(sizes):
        photo(width, height, number).save(folder / f"{number}.jpg", quality=90)
    photo(120, 100).save(folder / "8.png")
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        photo(200, 150, orientation).save(folder / f"turned_{orientation}.jpg", quality=90, exif=exif)
    paths = sorted(map(str, folder.iterdir()))
    return ImageFiles(paths, np.zeros(len(paths), np.int64), upright=True)


def both(config: Config, size: int) -> tuple[TrainView, TrainView]:
    fast, reference = (
        TrainView(config.augment, replace(config.data, decode=decode), image_size=size)
        for decode in (Decode.fast, Decode.reference)
    )
    return fast, reference


def difference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.int() - b.int()).abs()


@pytest.mark.parametrize("crop", ["resized", "padded", "simple", "center"])
def test_a_key_names_the_same_crop_within_a_grey_level(
    config: Callable[..., Config], photos: ImageFiles, crop: str
) -> None:
    settings = config(
        "scale=paper", "augment=light", f"augment.crop={crop}", "augment.flip=0.5", "augment.erasing=0.25"
    )
    fast, reference = both(settings, 96)
    for index in range(len(photos)):
        for key in range(12):
            seed_globals(key, index)
            made, box = fast.of(photos, index)
            left = random.random(), torch.rand(1).item(), np.random.rand()
            seed_globals(key, index)
            expected, expected_box = reference.of(photos, index)
            assert box == expected_box
            assert left == (random.random(), torch.rand(1).item(), np.random.rand()), "as many numbers were drawn"
            wrong = difference(made, expected)
            assert wrong.max() <= 2, "one for each of the two passes of a resize"
            assert (wrong > 1).float().mean() < 1e-3


@pytest.mark.parametrize(
    "name",
    [
        "rand-m9-mstd0.5-inc1",
        "rand-m9-mstd101-inc1-tweights",
        "rand-m7-n3-p0.8-t3aw",
        "original",
        "originalr-mstd0.5",
        "v0",
        "v0r-mstd0.5",
        "augmix-m3-w3",
        "3a",
    ],
)
def test_a_key_names_the_same_change_of_policy(name: str) -> None:
    fast = pickle.loads(pickle.dumps(array_policy(name, mean=MEAN, image_size=64)))  # as a worker gets it
    reference = policy(name, mean=MEAN, image_size=64)
    close = 0
    for key in range(80):
        image = photo(64, 64, key)
        seed_globals(key)
        made = fast(np.array(image))
        left = random.random(), np.random.rand()
        seed_globals(key)
        expected = np.asarray(reference(image))
        assert left == (random.random(), np.random.rand()), "as many numbers were drawn"
        close += (np.abs(made.astype(int) - expected) <= 1).mean() > 0.98
    # After an operation of one level's difference, thresholds and equalisation may fall on its other side.
    assert close >= 76


ALONE: dict[str, tuple[float, ...]] = {
    "Rotate": (-30, -7.3, 0, 12.5, 30, 90, 180),
    "ShearX": (-0.3, -0.07, 0, 0.3),
    "ShearY": (-0.3, 0.11, 0.3),
    "TranslateX": (-40, -3.7, 0, 12.25, 39),
    "TranslateY": (-40, -3.7, 0, 12.25, 39),
    "TranslateXRel": (-0.45, 0.2),
    "TranslateYRel": (-0.45, 0.2),
    "Posterize": (1, 2, 4, 8),
    "Solarize": (0, 26, 128, 256),
    "SolarizeAdd": (0, 64, 110),
    "Color": (0.1, 0.55, 1.0, 1.9),
    "Contrast": (0.1, 0.55, 1.0, 1.9),
    "Brightness": (0.1, 0.55, 1.0, 1.9),
    "Sharpness": (0.1, 0.55, 1.0, 1.9),
    "Desaturate": (0.5, 1.0),
    "GaussianBlur": (0.1, 1.0, 2.0),
}


@pytest.mark.parametrize("name", sorted(operations.OPERATIONS))
@pytest.mark.parametrize("shape", [(64, 64), (50, 81)])
def test_each_operation_is_pillows_within_a_grey_level(name: str, shape: tuple[int, int]) -> None:
    from timm.data.auto_augment import NAME_TO_OP

    base = name.removesuffix("Increasing").removesuffix("Original")
    levels = ALONE.get(base, (0.7,) if base == "GaussianBlurRand" else (None,))
    image = photo(*shape)
    for level in levels:
        given = () if level is None else (int(level) if base in ("Posterize", "SolarizeAdd") else level,)
        fill = {"fillcolor": FILL, "resample": Image.Resampling.BICUBIC}
        random.seed(1)
        made = operations.OPERATIONS[name](np.array(image), *given, **fill)
        random.seed(1)
        expected = np.asarray(NAME_TO_OP[name](image, *given, **dict(fill)))
        wrong = np.abs(made.astype(int) - expected)
        assert wrong.max() <= 1, (name, level, wrong.max())


def test_rows_whose_colour_never_changes_stay_flat() -> None:
    flat = np.full((40, 50, 3), (9, 99, 199), np.uint8)
    for change in (points.autocontrast, points.equalize):
        assert (change(flat) == flat).all(), "a single level has nowhere to go"
    for moved in (warps.shear_x(flat, 0.2, (9, 99, 199)), warps.rotate(flat, 20, (9, 99, 199))):
        assert (moved == flat).all()


@pytest.mark.parametrize("shape", [(30, 40), (224, 224), (500, 375), (375, 500), (100, 500), (500, 100)])
def test_resizing_is_pillows(shape: tuple[int, int]) -> None:
    image = photo(shape[1], shape[0])
    for height, width in ((224, 224), (64, 64), (100, 180)):
        made = resize.resized(np.array(image), height, width)
        expected = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
        wrong = np.abs(made.astype(int) - expected)
        assert wrong.max() <= 2
        assert (wrong > 1).mean() < 1e-3
    region = np.array(image)[5:25, 7:29]  # rows that are not next to each other in memory
    same = resize.resized(np.ascontiguousarray(region), 50, 50)
    assert (resize.resized(region, 50, 50) == same).all()


def test_evaluation_is_the_references_within_a_grey_level(config: Callable[..., Config], photos: ImageFiles) -> None:
    settings = config("scale=paper")
    for crop in (0.875, 1.0):
        fast, reference = (
            EvalView(replace(settings.data, decode=decode), image_size=96, crop=crop)
            for decode in (Decode.fast, Decode.reference)
        )
        for index in range(len(photos)):
            wrong = difference(fast.of(photos, index), reference.of(photos, index))
            assert wrong.max() <= 2
            assert (wrong > 1).float().mean() < 1e-3


def test_boxes_operations_and_magnitudes_are_distributed_as_published(config: Callable[..., Config]) -> None:
    """Against the recipe's own numbers, not another implementation: areas, aspects, which operation, how strong."""
    settings = config("scale=paper", "augment=deit")
    seen: list[tuple[int, int, int, int]] = []

    class Probe:
        height, width = 375, 500

        def rows(self, top: int, bottom: int) -> np.ndarray:
            seen.append((top, bottom, 0, 0))
            return np.zeros((bottom - top, self.width, 3), np.uint8)

    view = TrainView(settings.augment, settings.data, image_size=8)
    drawn: list[tuple[str, float]] = []
    for op in vars(view.policy)["ops"]:
        op.aug_fn = lambda pixels, *level, name=op.name, **_: drawn.append((name, *level)) or pixels  # type: ignore[func-returns-value]
    flips = 0
    for key in range(4000):
        seed_globals(key)
        flips += view(Probe())[1] is None
    heights = np.array([bottom - top for top, bottom, _, _ in seen]) / 375
    assert 0.2 < heights.min() < 0.3, "the smallest: 8 % of the area, 4:3"
    assert heights.max() == 1.0
    counts = {name: sum(1 for entry in drawn if entry[0] == name) for name in {entry[0] for entry in drawn}}
    assert len(counts) == 15
    expected = 4000 * 2 * 0.5 / 15
    assert all(abs(count - expected) < 4 * math.sqrt(expected) for count in counts.values()), counts
    angles = np.abs([entry[1] for entry in drawn if entry[0] == "Rotate"])
    assert abs(angles.mean() - 27) < 0.5, "magnitude 9 of 10, of 30 degrees"
    assert 1.0 < angles.std() < 2.0, "0.5 of 10, of 30 degrees, cut off at 30"
    bits = [entry[1] for entry in drawn if entry[0] == "PosterizeIncreasing"]
    assert set(bits) <= {1, 2}, "never none"


def test_without_numba_opencv_turns_images_a_little_softer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warps, "kernels", None)
    monkeypatch.setattr(points, "kernels", None)
    image = photo(96, 96)
    for name, levels in ALONE.items():
        for level in levels:
            given = int(level) if name in ("Posterize", "SolarizeAdd") else level
            made = operations.OPERATIONS[name](np.array(image), given, fillcolor=FILL)
            from timm.data.auto_augment import NAME_TO_OP

            expected = np.asarray(NAME_TO_OP[name](image, given, fillcolor=FILL, resample=Image.Resampling.BICUBIC))
            inside = np.s_[30:66, 30:66]
            assert np.abs(made[inside].astype(float) - expected[inside]).mean() < 3, (name, level)
    for name in ("AutoContrast", "Equalize", "Invert"):
        made = operations.OPERATIONS[name](np.array(image), fillcolor=FILL)
        assert (made == np.asarray(NAME_TO_OP[name](image))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 2)])
def test_no_picture_is_too_small(config: Callable[..., Config], shape: tuple[int, int]) -> None:
    view, _ = both(config("scale=paper", "augment=deit"), 32)
    tiny = ArrayPicture(np.full((*shape, 3), 77, np.uint8))
    for key in range(40):
        seed_globals(key)
        assert view(tiny)[0].shape == (3, 32, 32)


def test_a_cut_file_is_named(config: Callable[..., Config], tmp_path: Path) -> None:
    from deit.data.sources import ImageError

    photo(200, 150).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    for share in (0.02, 0.3, 0.7, 0.99):
        (tmp_path / "cut.jpg").write_bytes(content[: int(share * len(content))])
        fast, _ = both(config("scale=paper", "augment=light"), 64)
        with pytest.raises(ImageError, match=r"cut\.jpg: cannot be decoded"):
            fast.of(ImageFiles([str(tmp_path / "cut.jpg")], np.zeros(1, np.int64)), 0)
