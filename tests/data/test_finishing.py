"""The end of a batch: compiled loops and tensors give the same values, in the official order."""

from collections.abc import Callable

import pytest
import torch
from torchvision.transforms import v2

from deit.config.schema import Config
from deit.data import finishing
from deit.data.batches import RawBatch
from deit.data.finishing import finish
from deit.data.views import NOWHERE, Box


def batch(size: int = 8, side: int = 20) -> RawBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8, generator=generator)
    boxes = [Box(2, 3, 7, 9) if i % 3 == 0 else NOWHERE for i in range(size)]
    labels, views, indices = torch.arange(size) % 10, torch.zeros(size, dtype=torch.int64), torch.arange(size) + 40
    return RawBatch(images, labels, views, indices, torch.tensor(boxes))


@pytest.mark.parametrize("mode", ["pair", "batch"])
@pytest.mark.parametrize("mixing", ["mixup=0.8", "cutmix=1.0", "mix_probability=0.5", "mixup=0"])
@pytest.mark.parametrize("laid", [torch.contiguous_format, torch.channels_last])
def test_compiled_loops_and_tensors_agree_to_the_bit(
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    mixing: str,
    laid: torch.memory_format,
) -> None:
    off = {"mixup=0.8": ["augment.cutmix=0"], "cutmix=1.0": ["augment.mixup=0"], "mixup=0": ["augment.cutmix=0"]}
    c = config("augment=deit", f"augment.{mixing}", *off.get(mixing, []), f"augment.mix_mode={mode}")
    assert finishing.kernels is not None, "numba is installed where the tests run"
    for seed in range(4):
        raw = batch()
        raw = raw._replace(images=raw.images.contiguous(memory_format=laid))
        settings = {"augment": c.augment, "data": c.data, "seed": seed, "num_classes": 10}
        compiled = finish(raw, **settings)
        with monkeypatch.context() as without:
            without.setattr(finishing, "kernels", None)
            plain = finish(raw, **settings)
        assert torch.equal(compiled.images, plain.images)
        assert torch.equal(compiled.targets, plain.targets)


def test_an_odd_one_in_the_middle_of_a_batch_is_mixed_with_itself(config: Callable[..., Config]) -> None:
    c = config("augment=deit", "augment.mix_mode=batch", "augment.cutmix=0", "augment.smoothing=0")
    made = finish(batch(5), augment=c.augment, data=c.data, seed=0, num_classes=10)
    alone = finish(batch(5), augment=config("augment=none").augment, data=c.data, seed=0, num_classes=10)
    assert torch.allclose(made.images[2], alone.images[2], atol=1e-6)
    assert made.targets[2, 2].item() == pytest.approx(1)


def test_images_are_normalised_as_torchvision_does(config: Callable[..., Config]) -> None:
    c = config("augment=none", "data=cifar10")
    raw = batch()._replace(boxes=torch.zeros(8, 4, dtype=torch.int64))
    made = finish(raw, augment=c.augment, data=c.data, seed=0, num_classes=10)
    expected = v2.Normalize(c.data.mean, c.data.std)(raw.images.float() / 255)
    assert torch.allclose(made.images, expected, atol=1e-6)


def test_memory_is_used_again_only_when_nothing_holds_it(config: Callable[..., Config]) -> None:
    c = config("augment=none")
    settings = {"augment": c.augment, "data": c.data, "num_classes": 10}
    first = finish(batch(), seed=0, **settings).images
    kept, place = first.clone(), first.data_ptr()
    part = first[2:4, :, 5:]  # holds the memory of all
    del first
    second = finish(batch(), seed=1, **settings).images
    assert second.data_ptr() != place
    assert torch.equal(part, kept[2:4, :, 5:])
    place = second.data_ptr()
    del second
    assert finish(batch(), seed=2, **settings).images.data_ptr() == place


def test_noise_belongs_to_the_view_and_not_to_its_place(config: Callable[..., Config]) -> None:
    c = config("augment=none")
    raw = batch()
    turned = RawBatch(*(part.flip(0) for part in raw[:5]))
    settings = {"augment": c.augment, "data": c.data, "seed": 3, "num_classes": 10}
    assert torch.equal(finish(raw, **settings).images, finish(turned, **settings).images.flip(0))
    other = finish(raw, **settings | {"seed": 4})
    assert not torch.equal(finish(raw, **settings).images[0], other.images[0])
    assert torch.equal(finish(raw, **settings).images[1], other.images[1]), "not erased"
