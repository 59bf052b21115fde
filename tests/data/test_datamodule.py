"""Batches as a run sees them: the same with any number of workers, devices and starts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.data.batches import EvalBatch, TrainBatch
from deit.data.datamodule import KeyedData
from deit.data.sources import open_dataset


def data_of(config: Config, batch_size: int = 32) -> KeyedData:
    return KeyedData(
        open_dataset(config.data),
        config.data,
        config.augment,
        image_size=config.image_size,
        batch_size=batch_size,
        seed=config.seed,
    )


def finished(data: KeyedData, count: int) -> list[TrainBatch]:
    batches = []
    for loaded, _ in zip(data.train_dataloader(), range(count), strict=False):
        batch = data.on_after_batch_transfer(loaded, 0)
        assert isinstance(batch, TrainBatch)
        batches.append(batch)
    return batches


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_is_the_same_with_any_number_of_workers(config: Callable[..., Config], workers: int) -> None:
    settings = ["augment=deit", "data.train_fraction=0.1"]
    without = finished(data_of(config(*settings)), 4)
    with_workers = finished(data_of(config(*settings, f"data.workers={workers}")), 4)
    assert len(without) == len(with_workers) >= 3
    for a, b in zip(without, with_workers, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_rendering_does_not_depend_on_its_batch(config: Callable[..., Config]) -> None:
    settings = config("augment=deit", "augment.mixup=0", "augment.cutmix=0", "data.train_fraction=0.1")
    by_key = [
        {
            (int(view), int(index)): image
            for batch in finished(data_of(settings, size), 50)
            for image, view, index in zip(batch.images, batch.views, batch.indices, strict=True)
        }
        for size in (8, 32)
    ]
    assert by_key[0].keys() == by_key[1].keys()
    assert all(torch.equal(image, by_key[1][key]) for key, image in by_key[0].items())


def test_seeds_give_other_views(config: Callable[..., Config]) -> None:
    first, second = (finished(data_of(config("augment=deit", f"seed={seed}")), 1)[0] for seed in (0, 1))
    assert not torch.equal(first.images, second.images)


def test_images_are_normalised_and_erased_with_noise(config: Callable[..., Config]) -> None:
    settings = ["augment=none", "augment.erasing=1", "data.train_fraction=0.5"]
    batches = finished(data_of(config(*settings)), 10)
    images = torch.cat([batch.images for batch in batches])
    plain = torch.cat([b.images for b in finished(data_of(config("augment=none", "data.train_fraction=0.5")), 10)])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config().data.mean, config().data.std))
    levels = (plain * std + mean) * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    assert 0 <= levels.round().min() < levels.round().max() <= 255
    changed = images != plain
    assert changed.float().mean() > 0.05
    for channel in range(3):  # N(0, 1) after normalisation, as the official recipe erases
        noise = images[:, channel][changed[:, channel]]
        assert abs(noise.mean()) < 0.05
        assert abs(noise.std() - 1) < 0.05


def test_a_policy_that_timm_does_not_know_is_refused_before_anything_is_loaded(config: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"augment\.auto_augment=rand-m9-tfoo is none of timm's policies"):
        data_of(config("augment.auto_augment=rand-m9-tfoo"))


def test_targets_are_distributions(config: Callable[..., Config]) -> None:
    for batch in finished(data_of(config("augment=deit", "data.train_fraction=0.1")), 3):
        assert batch.targets.shape == (len(batch.images), 10)
        assert torch.allclose(batch.targets.sum(dim=1), torch.ones(len(batch.images)))


def test_evaluation_sees_each_held_out_image_once(config: Callable[..., Config]) -> None:
    data = data_of(config())
    for loader, split in ((data.val_dataloader(), data.dataset.val), (data.test_dataloader(), data.dataset.test)):
        seen = []
        for loaded in loader:
            batch = data.on_after_batch_transfer(loaded, 0)
            assert isinstance(batch, EvalBatch)
            assert batch.images.dtype == torch.float32
            seen += batch.indices.tolist()
        assert sorted(seen) == split.indices.tolist()


def test_train_val_and_test_share_no_image(config: Callable[..., Config]) -> None:
    dataset = data_of(config()).dataset
    parts = [set(split.indices.tolist()) for split in (dataset.train, dataset.val, dataset.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797
    assert len(parts[2]) == pytest.approx(1797 / 5, abs=3)


@pytest.mark.parametrize("order", ["keyed", "official"])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("recipe", ["deit", "none"])
def test_seven_images_in_two_folders_make_a_batch_an_epoch(
    config: Callable[..., Config], tmp_path: Path, order: str, repeats: int, recipe: str
) -> None:
    for number, name in enumerate("aaabbbb"):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (30 * number, 0, 0)).save(tmp_path / name / f"{number}.png")
    settings = ["data=folder", f"data.root={tmp_path}", f"augment.order={order}", f"augment.repeats={repeats}"]
    data = data_of(config(f"augment={recipe}", "augment.mix_mode=batch", *settings), batch_size=1024)
    (batch,) = finished(data, 10)
    assert data.num_train_batches == 1
    assert len(batch.images) == data.num_train_views >= 2
    assert len(batch.images) % 2 == 0
    assert batch.targets.shape[1] == 2
