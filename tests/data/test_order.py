"""The order of an epoch: whole pairs, every image in its turn, the same whatever the number of devices."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deit.config.material import Order
from deit.data.keys import Key
from deit.data.order import EvalBatches, TrainBatches, epoch_order


@settings(max_examples=100, deadline=None)
@given(num_images=st.integers(2, 400), repeats=st.integers(1, 5), seed=st.integers(0, 5), cycle=st.integers(0, 3))
def test_a_cycle_draws_every_image_once_a_view(num_images: int, repeats: int, seed: int, cycle: int) -> None:
    used = max(1, min(repeats, num_images // 2))
    epochs = [epoch_order(num_images, cycle * used + part, seed, repeats) for part in range(used)]
    drawn = Counter(map(tuple, np.concatenate(epochs).tolist()))
    assert set(drawn.values()) == {1}, "no rendering twice"
    views = {view for view, _ in drawn}
    assert views == set(range(cycle * used, (cycle + 1) * used))
    images = {position for _, position in drawn}
    assert len(images) > num_images - 2 * used, "fewer than 2 * repeats sit out"
    assert len({len(epoch) for epoch in epochs}) == 1
    assert len(epochs[0]) >= 2, "an epoch is never empty"


@settings(max_examples=50, deadline=None)
@given(num_images=st.integers(2, 200), repeats=st.integers(1, 4), epoch=st.integers(0, 7))
def test_pairs_are_of_two_images_and_change_partners(num_images: int, repeats: int, epoch: int) -> None:
    pairs = epoch_order(num_images, epoch, 0, repeats).reshape(-1, 2, 2)
    assert (pairs[:, 0, 0] == pairs[:, 1, 0]).all(), "partners have the same view number"
    assert (pairs[:, 0, 1] != pairs[:, 1, 1]).all()
    if num_images >= 4 * repeats * repeats:  # the first block is whole
        partners = {tuple(sorted(pair[:, 1].tolist())) for pair in pairs[: repeats * repeats]}
        assert len(partners) == repeats * repeats


def test_views_of_an_image_lie_close_together() -> None:
    order = epoch_order(600, 0, 0, 3)
    places = {position: np.flatnonzero(order[:, 1] == position) for position in set(order[:, 1].tolist())}
    assert max(int(np.ptp(where)) for where in places.values()) < 18  # a block of 2 * 3 images, 3 views each


def test_seeds_and_epochs_give_other_orders() -> None:
    orders = [epoch_order(50, epoch, seed, 1)[:, 1].tolist() for epoch in range(2) for seed in range(2)]
    assert len({tuple(order) for order in orders}) == 4


def keys(batches: TrainBatches) -> list[list[Key]]:
    return list(batches)


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("num_images", [64, 100, 37])
def test_two_devices_see_what_one_sees_each_sample_once(num_images: int, repeats: int) -> None:
    indices = np.arange(1000, 1000 + num_images)
    settings_: dict[str, Any] = {"batch_size": 16, "seed": 3, "repeats": repeats}
    for epoch in range(3):
        one = TrainBatches(indices, **settings_)
        two = [TrainBatches(indices, **settings_, rank=rank, world_size=2) for rank in range(2)]
        for sampler in (one, *two):
            sampler.set_epoch(epoch)
        assert len(two[0]) == len(two[1]) == len(keys(two[0]))
        for whole, left, right in zip(keys(one), keys(two[0]), keys(two[1]), strict=False):
            assert len(left) == len(right)
            seen = Counter(left) + Counter(right)
            assert set(seen.values()) == {1}
            assert set(seen) <= set(whole)
            assert len(whole) - len(seen) in (0, 2)  # a pair that one device would have had too many
        everything = Counter(key for sampler in two for batch in sampler for key in batch)
        assert set(everything.values()) == {1}


def test_pairs_stay_on_one_device() -> None:
    samplers = [TrainBatches(np.arange(40), batch_size=12, seed=0, repeats=2, rank=r, world_size=3) for r in range(3)]
    one = TrainBatches(np.arange(40), batch_size=12, seed=0, repeats=2)
    pairs = {frozenset(pair) for batch in one for pair in zip(batch[0::2], batch[1::2], strict=True)}
    for sampler in samplers:
        for batch in sampler:
            assert {frozenset(pair) for pair in zip(batch[0::2], batch[1::2], strict=True)} <= pairs


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize(("batch_size", "world_size"), [(15, 1), (15, 3), (1, 1), (3, 3)])
def test_an_odd_batch_is_dealt_by_samples(batch_size: int, world_size: int, order: Order) -> None:
    settings_: dict[str, Any] = {"batch_size": batch_size, "seed": 0, "repeats": 1, "order": order}
    one = [key for batch in keys(TrainBatches(np.arange(48), **settings_)) for key in batch]
    dealt = [keys(TrainBatches(np.arange(48), **settings_, rank=r, world_size=world_size)) for r in range(world_size)]
    assert {len(batch) for device in dealt for batch in device[:-1]} in ({batch_size // world_size}, set())
    assert Counter(key for device in dealt for batch in device for key in batch) == Counter(one)
    assert len({len(device) for device in dealt}) == 1


def test_a_small_set_is_never_dropped() -> None:
    batches = TrainBatches(np.arange(5), batch_size=1024, seed=0, repeats=3)  # the official sampler keeps 0 of 5
    (batch,) = keys(batches)
    assert len(batch) == 4
    assert len(batches) == 1


def test_a_start_skips_what_was_done_and_only_that() -> None:
    settings_: dict[str, Any] = {"batch_size": 8, "seed": 0, "repeats": 1}
    whole = TrainBatches(np.arange(50), **settings_)
    whole.set_epoch(2)
    resumed = TrainBatches(np.arange(50), **settings_, start=(2, 3))
    assert keys(resumed) == keys(whole)[3:]
    assert len(resumed) == len(whole), "Lightning adds what was done itself"
    resumed.set_epoch(3)
    whole.set_epoch(3)
    assert keys(resumed) == keys(whole)


def test_views_name_images_by_their_place_in_the_source() -> None:
    indices = np.array([7, 11, 13, 17])
    batches = TrainBatches(indices, batch_size=4, seed=0, repeats=1)
    assert {key.index for batch in batches for key in batch} == set(indices.tolist())


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_sees_each_image_once_and_pads_none(world_size: int) -> None:
    samplers = [EvalBatches(np.arange(10), batch_size=3, rank=r, world_size=world_size) for r in range(world_size)]
    assert sorted(i for sampler in samplers for batch in sampler for i in batch) == list(range(10))
    assert all(len(sampler) == len(list(sampler)) for sampler in samplers)


# The official order


def sampled(num_images: int, epoch: int, rank: int, world: int, repeats: int) -> list[int]:
    """What the official sampler gives a device, written as its rules read: repeat, pad, deal, keep."""
    permutation = torch.randperm(num_images, generator=torch.Generator().manual_seed(epoch)).tolist()
    repeated = [position for position in permutation for _ in range(repeats)]
    while len(repeated) % world:
        repeated.append(repeated[len(repeated) % world])
    dealt = repeated[rank::world]
    return dealt if repeats == 1 else dealt[: num_images // 256 * 256 // world]


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("repeats", [1, 3])
def test_the_official_order_is_the_official_samplers(world: int, repeats: int) -> None:
    settings_: dict[str, Any] = {"batch_size": 64, "seed": 5, "repeats": repeats, "order": Order.official}
    for epoch in (0, 1, 7):
        for rank in range(world):
            batches = TrainBatches(np.arange(1000), rank=rank, world_size=world, **settings_)
            batches.set_epoch(epoch)
            got = [key.index for batch in batches for key in batch]
            expected = sampled(1000, epoch, rank, world, repeats)
            whole = len(expected) // (64 // world) * (64 // world)  # drop_last
            assert got == expected[:whole]


def test_the_official_order_sees_a_third_of_the_images_three_times() -> None:
    batches = TrainBatches(np.arange(1024), batch_size=64, seed=0, repeats=3, order=Order.official)
    drawn = Counter(key.index for batch in batches for key in batch)
    assert sorted(drawn.values())[:2] == [1, 3], "the last image is cut"
    assert len(drawn) == 342


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("num_images", [9, 255, 511, 1023])
def test_the_official_batches_do_not_depend_on_the_number_of_devices(num_images: int, repeats: int) -> None:
    settings_: dict[str, Any] = {"batch_size": 64, "seed": 5, "repeats": repeats, "order": Order.official}
    one = list(TrainBatches(np.arange(num_images), **settings_))
    for world in (2, 4):
        devices = [TrainBatches(np.arange(num_images), **settings_, rank=r, world_size=world) for r in range(world)]
        for whole, shares in zip(one, zip(*devices, strict=True), strict=True):
            assert len({len(share) for share in shares}) == 1
            together = [key for row in zip(*shares, strict=True) for key in row]
            # An only batch is cut to an even number on every device.
            assert together == whole[: len(whole) // (2 * world) * 2 * world]


def test_official_views_are_never_drawn_twice() -> None:
    batches = TrainBatches(np.arange(300), batch_size=32, seed=0, repeats=3, order=Order.official)
    drawn: Counter[Key] = Counter()
    for epoch in range(5):
        batches.set_epoch(epoch)
        drawn.update(key for batch in batches for key in batch)
    assert set(drawn.values()) == {1}


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("num_images", [2, 7, 30])
def test_no_epoch_is_empty_however_few_the_images(order: Order, repeats: int, num_images: int) -> None:
    batches = TrainBatches(np.arange(num_images), batch_size=1024, seed=0, repeats=repeats, order=order)
    for epoch in range(3):
        batches.set_epoch(epoch)
        (batch,) = list(batches)
        assert len(batch) == batches.num_views >= 2
        assert len(batch) % 2 == 0


def test_the_official_order_goes_on_in_the_middle_of_an_epoch() -> None:
    settings_: dict[str, Any] = {"batch_size": 32, "seed": 0, "repeats": 3, "order": Order.official}
    whole = TrainBatches(np.arange(600), **settings_)
    whole.set_epoch(2)
    resumed = TrainBatches(np.arange(600), start=(2, 5), **settings_)
    assert list(resumed) == list(whole)[5:]
