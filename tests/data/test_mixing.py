"""Mixup and CutMix by pairs: keyed, exact, and distributed as published."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from timm.data.mixup import Mixup, mixup_target

from deit.config.material import Augment, MixMode
from deit.config.schema import Config
from deit.data.keys import Stream, frozen_generator
from deit.data.mixing import draw, draw_batch, mix_images, mix_targets, smooth_targets
from deit.data.views import NOWHERE


def mix_batch(
    images: torch.Tensor,
    labels: torch.Tensor,
    views: torch.Tensor,
    indices: torch.Tensor,
    *,
    augment: Augment,
    seed: int,
    num_classes: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, mixed in place, and their targets."""
    height, width = images.shape[-2:]
    mixes, partner = draw_batch(views, indices, augment=augment, seed=seed, height=height, width=width)
    targets = smooth_targets(labels, num_classes, augment.smoothing)
    if not mixes:
        return images, targets
    mix_images(images, mixes, partner)
    return images, mix_targets(targets, mixes, partner)


def batch(size: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    images = torch.arange(size, dtype=torch.float32).view(-1, 1, 1, 1).expand(size, 3, 16, 16).clone()
    labels = torch.arange(size) % 10
    return images, labels, torch.zeros(size, dtype=torch.int64), torch.arange(size) + 100


def mixed(augment: Augment, seed: int = 0, size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels, views, indices = batch(size)
    return mix_batch(images, labels, views, indices, augment=augment, seed=seed, num_classes=10)


def test_smoothing_is_timms() -> None:
    labels = torch.tensor([3, 0])
    expected = mixup_target(labels, 10, lam=1.0, smoothing=0.1)
    assert torch.allclose(smooth_targets(labels, 10, 0.1), expected)
    assert smooth_targets(labels, 10, 0.1)[0, 3].item() == pytest.approx(0.91)  # 1 - e + e / K


def test_mixup_blends_partners_and_their_targets_alike(config: Callable[..., Config]) -> None:
    images, targets = mixed(Augment(name="x", mixup=0.8))
    for pair in range(4):
        a, b = 2 * pair, 2 * pair + 1
        strength = targets[a, a].item()  # no smoothing: the label's own share
        assert images[a].unique().item() == pytest.approx(strength * a + (1 - strength) * b, abs=1e-5)
        assert images[b].unique().item() == pytest.approx(strength * b + (1 - strength) * a, abs=1e-5)
        assert targets[b, b].item() == pytest.approx(strength)
        assert targets[a, b].item() == pytest.approx(1 - strength)
    strengths = {round(targets[2 * pair, 2 * pair].item(), 6) for pair in range(4)}
    assert len(strengths) == 4, "a strength a pair"


def test_cutmix_targets_are_the_areas_that_are_seen() -> None:
    for seed in range(20):
        images, targets = mixed(Augment(name="x", cutmix=1.0), seed=seed)
        for i in range(8):
            assert targets[i, i].item() == pytest.approx((images[i, 0] == i).float().mean().item(), abs=1e-6)
            assert set(images[i].unique().tolist()) <= {float(i), float(i ^ 1)}


def test_a_mix_belongs_to_its_pair_not_to_the_batch() -> None:
    augment = Augment(name="x", mixup=0.8, cutmix=1.0, smoothing=0.1)
    images, labels, views, indices = batch(8)
    whole, targets = mix_batch(images.clone(), labels, views, indices, augment=augment, seed=5, num_classes=10)
    order = torch.tensor([6, 7, 2, 3])
    part, part_targets = mix_batch(
        images[order].clone(), labels[order], views[order], indices[order], augment=augment, seed=5, num_classes=10
    )
    assert torch.equal(part, whole[order])
    assert torch.equal(part_targets, targets[order])


def test_seed_view_and_partner_change_the_mix() -> None:
    augment = Augment(name="x", mixup=0.8)
    images, labels, views, indices = batch(2)

    def strength(seed: int, view: int, shift: int) -> float:
        keyed = {"augment": augment, "seed": seed, "num_classes": 10}
        return mix_batch(images.clone(), labels, views + view, indices + shift, **keyed)[1][0, 0].item()

    assert len({strength(*key) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}) == 4


def test_the_official_mode_mixes_the_batch_with_its_reverse() -> None:
    images, targets = mixed(Augment(name="x", mixup=0.8, mix_mode=MixMode.batch))
    strength = targets[0, 0].item()
    for i in range(8):
        assert images[i].unique().item() == pytest.approx(strength * i + (1 - strength) * (7 - i), abs=1e-5)
        assert targets[i, i].item() == pytest.approx(strength)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("key", range(5))
def test_the_official_mode_is_timms_given_its_strength_and_box(
    monkeypatch: pytest.MonkeyPatch, kind: str, key: int
) -> None:
    mixup, cutmix = (1.0, 0.0) if kind == "mixup" else (0.0, 1.0)
    augment = Augment(name="x", mixup=mixup, cutmix=cutmix, mix_mode=MixMode.batch, smoothing=0.1)
    generator = torch.Generator().manual_seed(key)
    images, labels = torch.rand(6, 3, 16, 20, generator=generator), torch.tensor([3, 3, 0, 9, 1, 2])
    views, indices = torch.zeros(6, dtype=torch.int64), torch.arange(6) + key
    strength, box = draw(frozen_generator(0, Stream.MIX, 0, key), augment, 16, 20)
    assert (box == NOWHERE) == (kind == "mixup")
    timm = Mixup(mixup_alpha=1.0, label_smoothing=0.1, num_classes=10)
    monkeypatch.setattr(timm, "_params_per_batch", lambda: (strength, kind == "cutmix"))
    corners = (box.top, box.top + box.height, box.left, box.left + box.width)
    monkeypatch.setattr("timm.data.mixup.cutmix_bbox_and_lam", lambda *args, **kwargs: (corners, strength))
    expected, expected_targets = timm(images.clone(), labels)
    made, targets = mix_batch(images, labels, views, indices, augment=augment, seed=0, num_classes=10)
    assert torch.allclose(made, expected, atol=1e-6)
    assert torch.allclose(targets, expected_targets, atol=1e-6)


def test_nothing_is_mixed_where_nothing_is_asked() -> None:
    images, targets = mixed(Augment(name="x", smoothing=0.1))
    assert torch.equal(images, batch()[0])
    assert torch.equal(targets, smooth_targets(batch()[1], 10, 0.1))
    never, _ = mixed(Augment(name="x", mixup=0.8, mix_probability=0.0))
    assert torch.equal(never, batch()[0])


def test_strengths_and_boxes_are_distributed_like_timms() -> None:
    augment = Augment(name="x", mixup=0.8, cutmix=1.0, switch_probability=0.5)
    drawn = [draw(frozen_generator(i), augment, 224, 224) for i in range(6000)]
    ours = np.array([mix.strength for mix in drawn])
    np.random.seed(0)
    timm = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=0.5, num_classes=10)
    theirs = []
    for _ in range(6000):
        strength, use_cutmix = timm._params_per_batch()
        if use_cutmix:
            from timm.data.mixup import cutmix_bbox_and_lam

            strength = cutmix_bbox_and_lam((1, 3, 224, 224), strength)[1]
        theirs.append(strength)
    quantiles = np.linspace(0.05, 0.95, 19)
    assert np.abs(np.quantile(ours, quantiles) - np.quantile(theirs, quantiles)).max() < 0.03
    share = np.mean([mix.box != NOWHERE for mix in drawn])
    assert abs(share - 0.5) < 0.03
