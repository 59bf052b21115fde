"""Confusion against scikit-learn's own."""

import numpy as np
from sklearn.metrics import confusion_matrix

from deit.evaluation.confusion import class_accuracy, confusion

RNG = np.random.default_rng(0)
LABELS, DECISIONS = RNG.integers(0, 5, 300), RNG.integers(0, 7, 300)


def test_the_matrix_is_scikit_learns() -> None:
    found = confusion(LABELS, DECISIONS, 7)
    np.testing.assert_array_equal(found, confusion_matrix(LABELS, DECISIONS, labels=range(7)))


def test_a_class_without_images_has_no_accuracy() -> None:
    shares = class_accuracy(confusion(LABELS, DECISIONS, 7))
    assert np.isnan(shares[5:]).all()
    for label in range(5):
        assert shares[label] == 100 * (DECISIONS[label == LABELS] == label).mean()


def test_small_integers_do_not_overflow() -> None:
    label = np.array([999], dtype=np.int16)
    assert confusion(label, label, 1000)[999, 999] == 1
