"""Facts about the splits: what is held out, what is used, and what they do not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deit.data.splits import hold_out, hold_out_by_name, keys_of_names, take_by_name, take_fraction

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(lambda values: np.array(values, dtype=np.int64))
FRACTIONS = st.floats(0.001, 0.999)
SEEDS = st.integers(-(2**63), 2**64)


def everything(labels: np.ndarray) -> np.ndarray:
    return np.arange(len(labels), dtype=np.int64)


@given(LABELS, FRACTIONS, SEEDS)
def test_hold_out_divides_the_positions_and_keeps_both_sides_ascending(labels, fraction, seed):
    kept, held = hold_out(labels, everything(labels), fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([kept, held])), everything(labels))
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()
    assert kept.dtype == held.dtype == np.int64


@given(LABELS, FRACTIONS, SEEDS)
def test_every_class_with_two_images_has_one_on_each_side(labels, fraction, seed):
    kept, held = hold_out(labels, everything(labels), fraction, seed)
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        assert (labels[kept] == label).any()
        assert (labels[held] == label).any() == (size >= 2)
        assert size < 2 or abs((labels[held] == label).sum() - fraction * size) <= 1


@given(LABELS, FRACTIONS, FRACTIONS, SEEDS)
def test_a_smaller_share_is_contained_in_a_larger_one(labels, one, other, seed):
    small, large = (take_fraction(labels, everything(labels), share, seed) for share in sorted((one, other)))
    assert set(small) <= set(large)
    assert set(labels[small]) == set(labels)


@given(LABELS, FRACTIONS, FRACTIONS, SEEDS)
def test_what_is_trained_on_comes_from_what_was_kept(labels, held_share, share, seed):
    kept, held = hold_out(labels, everything(labels), held_share, seed)
    used = take_fraction(labels, kept, share, seed)
    assert set(used) <= set(kept) and not set(used) & set(held)


@given(LABELS, SEEDS)
def test_a_share_of_one_is_everything(labels, seed):
    assert np.array_equal(take_fraction(labels, everything(labels), 1.0, seed), everything(labels))


def test_the_share_is_exact_where_it_can_be_and_rounded_half_up_where_not():
    labels = np.repeat([0, 1, 2], [100, 10, 5])
    _, held = hold_out(labels, everything(labels), 0.1, seed=0)
    assert np.bincount(labels[held]).tolist() == [10, 1, 1]
    assert np.bincount(labels[take_fraction(labels, everything(labels), 0.01, seed=0)]).tolist() == [1, 1, 1]


def test_a_class_does_not_depend_on_how_the_others_are_labelled():
    labels = np.repeat([0, 1, 2], 20)
    relabelled = np.repeat([0, 2, 2], 20)
    _, held = hold_out(labels, everything(labels), 0.25, seed=3)
    _, other = hold_out(relabelled, everything(labels), 0.25, seed=3)
    assert held[labels[held] == 0].tolist() == other[relabelled[other] == 0].tolist()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_the_order_of_the_positions_does_not_matter(order):
    labels = np.tile([0, 1, 2], 30)
    kept, held = hold_out(labels, everything(labels)[order], 0.2, seed=5)
    again = hold_out(labels, everything(labels), 0.2, seed=5)
    assert kept.tolist() == again[0].tolist() and held.tolist() == again[1].tolist()


def test_seeds_differ():
    labels = np.zeros(200, dtype=np.int64)
    draws = {tuple(hold_out(labels, everything(labels), 0.1, seed)[1]) for seed in range(20)}
    assert len(draws) == 20


def test_held_out_images_lie_anywhere_in_the_source():
    labels = np.zeros(10_000, dtype=np.int64)
    _, held = hold_out(labels, everything(labels), 0.5, seed=1)
    assert abs(held.mean() - 5000) < 100  # 2.5 standard errors of the mean of 5,000 of 10,000 positions


def test_the_draw_is_the_same_on_every_platform_and_release():
    labels = np.tile([0, 1], 10)
    _, held = hold_out(labels, everything(labels), 0.3, seed=0)
    assert held.tolist() == [0, 2, 8, 9, 11, 17]
    assert take_fraction(labels, everything(labels), 0.3, seed=7).tolist() == [0, 9, 10, 13, 15, 18]


def named(labels: np.ndarray, *, seed: int = 0, split: str = "test") -> np.ndarray:
    return keys_of_names([f"{label}/{i}.jpg".encode() for i, label in enumerate(labels)], seed=seed, split=split)


@given(LABELS, FRACTIONS, SEEDS, st.integers(1, 2))
def test_by_name_every_class_gives_one_and_keeps_what_is_to_be_left(labels, fraction, seed, left):
    kept, held = hold_out_by_name(labels, everything(labels), fraction, named(labels, seed=seed), left=left)
    assert np.array_equal(np.sort(np.concatenate([kept, held])), everything(labels))
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        assert (labels[kept] == label).sum() >= (left if size > left else 1)
        assert (labels[held] == label).any() == (size >= 2)


@given(LABELS, FRACTIONS, FRACTIONS, SEEDS)
def test_by_name_a_smaller_share_is_contained_in_a_larger_one(labels, one, other, seed):
    keys = named(labels, seed=seed, split="train")
    small, large = (take_by_name(labels, everything(labels), share, keys) for share in sorted((one, other)))
    assert set(small) <= set(large) and set(labels[small]) == set(labels)
    assert np.array_equal(take_by_name(labels, everything(labels), 1.0, keys), everything(labels))


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_by_name_the_share_is_right_on_average_and_draws_do_not_depend_on_each_other(fraction):
    labels = np.zeros(20_000, dtype=np.int64)
    _, held = hold_out_by_name(labels, everything(labels), fraction, named(labels))
    expected, deviation = fraction * len(labels), (fraction * (1 - fraction) * len(labels)) ** 0.5
    assert abs(len(held) - expected) < 4 * deviation
    for other in (named(labels, seed=1), named(labels, split="val")):
        both = np.intersect1d(held, hold_out_by_name(labels, everything(labels), fraction, other)[1])
        assert abs(len(both) - fraction * expected) < 4 * (fraction * expected) ** 0.5


def test_by_name_the_draw_is_the_same_on_every_platform_and_release():
    assert keys_of_names([b"cat/000.jpg", b"dog/\xff.png"], seed=3, split="val").tolist() == [
        7234127360050328232,
        14176548405238044475,
    ]
