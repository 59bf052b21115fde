"""Who decides differently from whom, and which images are shown."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from deit.evaluation.disagreement import disagreement, mcnemar, sample_positions

LABELS = torch.tensor([0, 1, 2, 3])
DECISIONS = torch.stack([LABELS, torch.tensor([0, 1, 2, 0]), torch.tensor([3, 1, 0, 0])])


def test_disagreement_is_the_share_of_images_decided_differently() -> None:
    assert disagreement(DECISIONS).tolist() == [[0, 25, 75], [25, 0, 50], [75, 50, 0]]


def test_the_first_half_of_the_samples_is_the_same_whatever_is_right() -> None:
    indices, count = torch.arange(100, 300), 20
    right = torch.arange(200) % 3 != 0
    shown = sample_positions(indices, right, count=count)
    assert shown[:10] == sample_positions(indices, ~right, count=count)[:10]
    assert len(set(shown)) == count
    assert not right[shown[10:]].any(), "the other half is of the wrong ones, as long as there are any"


def test_the_samples_are_those_of_the_images_wherever_they_stand() -> None:
    indices, order = torch.arange(50), torch.arange(50).flip(0)
    right = indices % 4 > 0
    shown = indices[sample_positions(indices, right, count=12)]
    reordered = indices[order][sample_positions(indices[order], right[order], count=12)]
    assert shown.tolist() == reordered.tolist()


def test_where_all_are_right_others_take_the_place_of_the_wrong_ones() -> None:
    indices = torch.arange(40)
    everything_right = torch.ones(40, dtype=torch.bool)
    assert len(set(sample_positions(indices, everything_right, count=32))) == 32
    assert sorted(sample_positions(indices[:5], everything_right[:5], count=32)) == [0, 1, 2, 3, 4]


def test_some_of_the_samples_are_wrong_where_one_image_is() -> None:
    right = torch.ones(400, dtype=torch.bool)
    right[317] = False
    assert 317 in sample_positions(torch.arange(400), right, count=32)


@pytest.mark.parametrize("seed", range(3))
def test_mcnemar_asks_whether_a_coin_would_fall_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.random(60) < 0.8, rng.random(60) < 0.6
    found = mcnemar(one, other)
    assert (found.only_one, found.only_other) == (sum(one > other), sum(other > one))
    smaller, both = min(found[:2]), found.only_one + found.only_other
    assert found.p == pytest.approx(min(1.0, 2 * binom.cdf(smaller, both, 0.5)))
    assert mcnemar(other, one) == (found.only_other, found.only_one, found.p)


def test_who_never_differs_is_not_better() -> None:
    assert mcnemar(np.array([True, False]), np.array([True, False])) == (0, 0, 1.0)
