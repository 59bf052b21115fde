"""One image becomes one view, by the recipe, from nothing but the seeds."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform

from deit.config.schema import Config
from deit.data.keys import seed_globals
from deit.data.reference import to_tensor
from deit.data.sources.pictures import ArrayPicture
from deit.data.views import NOWHERE, EvalView, TrainView, erase_box


def photo(width: int = 60, height: int = 40) -> Image.Image:
    """A picture in which every pixel tells where it was."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 4, y * 6, (x + y) * 2], axis=-1).astype(np.uint8))


def view_of(config: Config, size: int = 28) -> TrainView:
    return TrainView(config.augment, config.data, image_size=size)


def opened(image: Image.Image, decode: str) -> Image.Image | ArrayPicture:
    return image if decode == "reference" else ArrayPicture(np.array(image))


@pytest.mark.parametrize("decode", ["fast", "reference"])
@pytest.mark.parametrize("recipe", ["deit", "light", "none"])
@pytest.mark.parametrize("crop", ["resized", "padded", "center"])
@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (8, 8), (28, 28)])
def test_a_view_is_square_bytes_and_repeats(
    config: Callable[..., Config], recipe: str, crop: str, shape: tuple[int, int], decode: str
) -> None:
    view = view_of(config(f"augment={recipe}", f"augment.crop={crop}", "data=cifar10", f"data.decode={decode}"))
    for key in range(5):
        seed_globals(key)
        image, box = view(opened(photo(*shape), decode))
        assert (image.shape, image.dtype) == ((3, 28, 28), torch.uint8)
        seed_globals(key)
        again, same_box = view(opened(photo(*shape), decode))
        assert torch.equal(image, again)
        assert box == same_box


@pytest.mark.parametrize("decode", ["fast", "reference"])
def test_no_augmentation_is_the_evaluation_view(config: Callable[..., Config], decode: str) -> None:
    settings = config("augment=none", "data=cifar10", f"data.decode={decode}")
    image, box = view_of(settings)(opened(photo(), decode))
    assert box == NOWHERE
    assert torch.equal(image, EvalView(settings.data, image_size=28, crop=1.0)(opened(photo(), decode)))


def test_evaluation_resizes_to_256_before_it_crops_224(config: Callable[..., Config]) -> None:
    data = config("data=cifar10", "data.decode=reference").data

    def sizes(image_size: int) -> list[object]:
        return [vars(step)["size"] for step in EvalView(data, image_size=image_size, crop=0.875).transform.transforms]

    assert sizes(224) == [[256], (224, 224)]
    assert sizes(384) == [[438], (384, 384)]


def test_mirroring_suits_the_data_unless_it_is_asked_for(config: Callable[..., Config]) -> None:
    picture = photo(28, 28)
    for decode in ("fast", "reference"):
        settings = config("augment=none", "augment.flip=1", "data=cifar10", f"data.decode={decode}")
        mirrored, _ = view_of(settings)(opened(picture, decode))
        assert torch.equal(mirrored, to_tensor(picture).flip(-1))
    flips = [config(f"augment={a}", f"data={d}").augment.flip for a in ("deit", "light") for d in ("digits", "cifar10")]
    assert flips == [0, 0.5, 0, 0.5]


def test_erased_boxes_are_as_large_and_long_as_published() -> None:
    random.seed(0)
    size = 224
    boxes = [erase_box(size) for _ in range(4000)]
    shares = np.array([box.height * box.width / size**2 for box in boxes])
    aspects = np.array([box.height / box.width for box in boxes])
    assert shares.min() > 0.019
    assert shares.max() < 0.34
    assert abs(shares.mean() - (0.02 + 1 / 3) / 2) < 0.01  # uniform area
    assert 0.28 < aspects.min() < 0.34
    assert 2.9 < aspects.max() < 3.5
    assert abs(np.log(aspects).mean()) < 0.05  # as often high as wide
    assert all(box.top + box.height <= size and box.left + box.width <= size for box in boxes)


def test_erasing_happens_as_often_as_asked(config: Callable[..., Config]) -> None:
    view = view_of(config("augment=none", "augment.erasing=0.25"))
    random.seed(0)
    erased = sum(view(opened(photo(28, 28), "fast"))[1] != NOWHERE for _ in range(2000))
    assert abs(erased / 2000 - 0.25) < 0.04  # four standard errors


def test_random_augmentation_is_timms_but_never_posterises_to_nothing(config: Callable[..., Config]) -> None:
    settings = config("augment=deit", "data=cifar10", "data.decode=reference")
    ours = view_of(settings, size=224).policy
    assert ours is not None
    mean = tuple(round(255 * channel) for channel in settings.data.mean)
    theirs = rand_augment_transform(
        "rand-m9-mstd0.5-inc1",
        {"translate_const": 100, "img_mean": mean, "interpolation": Image.Resampling.BICUBIC},  # int(0.45 x 224)
    )
    assert repr(ours) == repr(theirs)
    posterise = next(op for op in vars(ours)["ops"] if op.name.startswith("Posterize"))
    assert [posterise.level_fn(level, {}) for level in (0, 5, 9, 10)] == [(4,), (2,), (1,), (1,)]
    compared = 0
    for key in range(40):
        seed_globals(key)
        try:
            expected = theirs(photo())
        except (ValueError, OSError):
            continue  # theirs posterised to 0 bits, which Pillow refuses
        seed_globals(key)
        assert np.array_equal(np.asarray(ours(photo())), np.asarray(expected))
        compared += 1
    assert compared > 20


@pytest.mark.parametrize("decode", ["fast", "reference"])
@pytest.mark.parametrize("crop", [0.875, 1.0])
@pytest.mark.parametrize(("width", "height"), [(250, 170), (101, 240), (50, 50)])
def test_an_evaluation_view_shows_the_place_that_it_names(
    config: Callable[..., Config], width: int, height: int, crop: float, decode: str
) -> None:
    view = EvalView(config("data=cifar10", f"data.decode={decode}").data, image_size=28, crop=crop)
    y, x = np.mgrid[0:height, 0:width]
    where = np.stack([x, y, x], axis=-1).astype(np.uint8)  # each pixel tells where it was
    shown = view.of_pixels(where).float()
    place = view.place(height, width)
    step = min(height, width) / 28
    for values, begin, length, side in (
        (shown[0].mean(dim=0), place.left, place.width, width),
        (shown[1].mean(dim=1), place.top, place.height, height),
    ):
        middles = (begin + (torch.arange(28) + 0.5) / 28 * length) * side - 0.5
        assert (values - middles)[3:-3].abs().max() < 0.6 + step / 20, "but for rounding, and the edges, which blur"
