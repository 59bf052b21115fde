"""Policies by timm's names, and the crops and colours of DeiT III."""

import pickle
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps

from deit.config.errors import ConfigError
from deit.config.material import Decode
from deit.config.schema import Config
from deit.data.keys import seed_globals
from deit.data.policies import policy
from deit.data.reference import to_tensor
from deit.data.views import TrainView

MEAN = (0.485, 0.456, 0.406)


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """Smooth colours of all brightnesses."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, 127 + 127 * np.sin(x / 5 + y / 7)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    "name", ["rand-m9-mstd0.5-inc1", "original", "originalr", "v0", "v0r-mstd0.5", "augmix-m3-w3", "3a"]
)
def test_a_policy_changes_images_and_follows_the_seed_alone(name: str) -> None:
    apply = pickle.loads(pickle.dumps(policy(name, mean=MEAN, image_size=64)))  # as a worker gets it
    changed = 0
    for key in range(30):
        results = []
        for _ in range(2):
            seed_globals(key)
            results.append(np.asarray(apply(photo())))
        assert np.array_equal(*results)
        changed += not np.array_equal(results[0], np.asarray(photo()))
    assert changed > 10


def test_three_augment_is_grey_solarised_or_blurred() -> None:
    apply = policy("3a", mean=MEAN, image_size=64)
    grey = np.asarray(photo().convert("L").convert("RGB"))
    solarised = np.asarray(ImageOps.solarize(photo(), 128))
    seen: Counter[str] = Counter()
    radii = []
    for key in range(600):
        seed_globals(key)
        made = np.asarray(apply(photo()))
        seed_globals(key)
        random.choice(range(3))  # which of the three; then the radius
        radius = random.uniform(0.1, 2.0)
        blurred = np.asarray(photo().filter(ImageFilter.GaussianBlur(radius)))
        known = {"grey": grey, "solarised": solarised, "blurred": blurred}
        (name,) = [name for name, pixels in known.items() if np.array_equal(made, pixels)]
        seen[name] += 1
        radii += [radius] * (name == "blurred")
    assert all(150 <= seen[name] <= 250 for name in ("grey", "solarised", "blurred")), seen  # four standard errors: 46
    assert 0.1 <= min(radii) < 0.2
    assert 1.9 < max(radii) <= 2.0
    assert abs(np.mean(radii) - 1.05) < 0.16  # four standard errors


@pytest.mark.parametrize(
    "name",
    ["rand-x9", "rand-m9-mstdx", "rand-m9-tfoo", "rand-m9-", "v9", "3a-x", "original-m9", "augmix-q3", "augmix-a0"],
)
def test_what_timm_does_not_know_is_refused_in_words(config: Callable[..., Config], name: str) -> None:
    settings = config(f"augment.auto_augment={name}")
    with pytest.raises(ConfigError, match=f"augment.auto_augment={name}.*pass augment.auto_augment=rand"):
        view(settings, 28)


@pytest.mark.parametrize("name", ["original", "v0", "augmix-m10-mstd0.5", "rand-m10"])
def test_no_policy_posterises_to_nothing(name: str) -> None:
    apply = policy(name, mean=MEAN, image_size=64)
    for key in range(200):
        seed_globals(key)
        apply(photo(16, 16))  # Pillow raises at 0 bits


def view(config: Config, size: int) -> TrainView:
    """By the reference; tests/data/test_fast.py compares the fast views with it."""
    return TrainView(config.augment, replace(config.data, decode=Decode.reference), image_size=size)


def test_the_simple_crop_cuts_a_mirrored_frame(config: Callable[..., Config]) -> None:
    simple = view(config("augment=none", "augment.crop=simple"), 32)
    image = photo(32, 32)
    framed = np.pad(np.asarray(image), ((4, 4), (4, 4), (0, 0)), mode="reflect")
    cuts = {framed[y : y + 32, x : x + 32].tobytes() for y in range(9) for x in range(9)}
    seen = set()
    for key in range(60):
        seed_globals(key)
        made = simple(image)[0].permute(1, 2, 0).numpy()
        assert made.tobytes() in cuts
        seen.add(made.tobytes())
    assert len(seen) > 20


def test_the_simple_crop_leaves_a_flat_image_flat(config: Callable[..., Config]) -> None:
    simple = view(config("augment=none", "augment.crop=simple"), 28)
    for key in range(20):
        seed_globals(key)
        assert (simple(Image.new("RGB", (50, 37), (9, 99, 199)))[0] == torch.tensor([9, 99, 199]).view(3, 1, 1)).all()


def test_the_simple_crop_resizes_the_short_side(config: Callable[..., Config]) -> None:
    simple = view(config("augment=none", "augment.crop=simple"), 28)
    seed_globals(0)
    assert simple(photo(200, 100))[0].shape == (3, 28, 28)


def test_colours_jitter_within_what_is_asked(config: Callable[..., Config]) -> None:
    flat = Image.new("RGB", (28, 28), (100, 100, 100))  # grey: contrast and saturation leave it as it is
    jittered = view(config("augment=none", "augment.color_jitter=0.3"), 28)
    values = []
    for key in range(300):
        seed_globals(key)
        values.append(int(jittered(flat)[0][0, 0, 0]))
    assert 69 <= min(values) < 75
    assert 125 < max(values) <= 130


def test_a_view_is_cropped_flipped_changed_and_then_coloured(config: Callable[..., Config]) -> None:
    settings = config("augment=deit3", "augment.flip=1", "optim.loss=binary")
    whole = view(settings, 28)
    assert whole.policy is not None
    assert whole.jitter is not None
    for key in range(20):
        seed_globals(key)
        made, _ = whole(photo())
        seed_globals(key)
        image = cast(Image.Image, whole.crop(photo()))
        random.random()  # whether to flip
        image = whole.jitter(whole.policy(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
        assert torch.equal(made, to_tensor(image))
