"""Calibration against torchmetrics' own."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from deit.evaluation.calibration import expected_calibration_error, reliability


def answers(sharpness: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 7, generator=generator) * sharpness
    return logits.softmax(dim=-1), torch.randint(7, (500,), generator=generator)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0])
def test_the_error_is_torchmetrics(sharpness: float) -> None:
    held, labels = answers(sharpness)
    confidence, decided = held.max(dim=-1)
    bins = reliability(confidence.numpy(), (decided == labels).numpy())
    theirs = multiclass_calibration_error(held, labels, num_classes=7, n_bins=15, norm="l1")
    assert expected_calibration_error(bins) == pytest.approx(float(theirs) * 100, abs=1e-4)


def test_every_image_is_in_a_bin_be_it_certain_or_impossible() -> None:
    bins = reliability(np.array([0.0, 1.0, 1 / 15]), np.array([False, True, True]))
    assert bins.counts.tolist() == [2, *[0] * 13, 1]
    assert bins.accuracies[[0, 14]].tolist() == [0.5, 1.0]


def test_who_is_as_often_right_as_sure_has_no_error() -> None:
    assert expected_calibration_error(reliability(np.full(4, 0.75), np.array([True, True, True, False]))) == 0
    assert expected_calibration_error(reliability(np.ones(4), np.zeros(4, dtype=bool))) == 100
