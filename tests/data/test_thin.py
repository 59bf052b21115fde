"""Pictures a few pixels high and thousands wide: the pixels that resizing the whole would give, in little memory."""

import resource
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from deit.config.schema import Config
from deit.data import fast, reference
from deit.data.pixels import thin
from deit.data.sources.pictures import ArrayPicture
from deit.data.views import EvalView, TrainView


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("sides", [(1, 150), (150, 1), (2, 301), (37, 3001), (2000, 30), (375, 500), (900, 1200)])
def test_the_central_part_is_that_of_the_whole(sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(*sides)
    picture, image = ArrayPicture(pixels), Image.fromarray(pixels)
    whole = (
        fast.evaluation(224, 256)(picture).astype(int),
        np.asarray(reference.evaluation(224, 256)(image)).astype(int),
    )
    monkeypatch.setattr(thin, "MOST_RESIZED", 1)
    part = fast.evaluation(224, 256)(picture), np.asarray(reference.evaluation(224, 256)(image))
    for one, other in zip(whole, part, strict=True):
        assert np.abs(one - other).max() <= 2, "a grey level for each pass, as the ways of decoding differ"
        assert (one != other).mean() < 0.02


def test_ordinary_pictures_are_resized_whole_as_ever() -> None:
    """To the bit: 256 on the short side and up to 65,536 on the other is torchvision's."""
    pixels = noise(40, 3000)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = reference.v2.Compose(reference.evaluation(64, 73).transforms)(tensor)
    assert np.array_equal(fast.evaluation(64, 73)(ArrayPicture(pixels)), expected.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("decode", ["fast", "reference"])
@pytest.mark.parametrize("crop", ["resized", "padded", "simple", "center"])
def test_no_view_of_a_thin_picture_fills_the_memory(config: Callable[..., Config], crop: str, decode: str) -> None:
    settings = config("augment=none", f"augment.crop={crop}", f"data.decode={decode}")
    pixels = np.full((1, 60_000, 3), 77, np.uint8)
    picture = ArrayPicture(pixels) if decode == "fast" else Image.fromarray(pixels)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    view, _ = TrainView(settings.augment, settings.data, image_size=224)(picture)
    tested = EvalView(settings.data, image_size=224, crop=0.875)(picture)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000, "kilobytes; it was 12 GB"
    assert view.shape == tested.shape == (3, 224, 224)
    assert (tested == 77).all()
