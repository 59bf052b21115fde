"""Wilson intervals against scipy's, the majority class, and networks that predict a few classes only."""

import numpy as np
import pytest
from scipy.stats import binomtest

from deit.evaluation.baselines import Spread, majority_accuracy, spread, wilson_interval


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (0, 12), (12, 12), (13, 43), (356, 359), (1, 50_000)])
def test_the_interval_is_wilsons(right: int, total: int) -> None:
    theirs = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, total) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-9)


def test_the_majority_class_is_the_most_frequent_label() -> None:
    assert majority_accuracy(np.array([4, 0, 4, 1, 4, 0, 2, 3])) == 37.5


@pytest.mark.parametrize(
    ("predicted", "present", "is_collapsed"),
    [(1, 1, False), (1, 2, True), (2, 2, False), (1, 3, True), (2, 3, False), (2, 5, True), (3, 6, False), (2, 6, True),
     (49, 100, True), (50, 100, False)],
)  # fmt: skip
def test_fewer_than_half_of_the_classes_are_a_collapse(predicted: int, present: int, is_collapsed: bool) -> None:
    assert Spread(predicted, present).is_collapsed is is_collapsed


def test_classes_without_an_image_do_not_count() -> None:
    assert spread(np.array([7, 7, 2, 9]), np.array([7, 7, 7, 7])) == (1, 3)
