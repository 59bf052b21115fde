"""Predictions of all devices, put together by image."""

import numpy as np
import pytest
import torch

from deit.evaluation.predictions import Predictions

CPU = torch.device("cpu")


def some(*indices: int, first: int = 0) -> Predictions:
    """Whose label is the image's number and whose class is one more."""
    predictions = Predictions(("label", "class"))
    for index in indices:
        label = torch.tensor([index + first])
        predictions.update(torch.tensor([index]), {"label": label, "class": label + 1})
    return predictions


def test_images_are_in_their_order_and_those_that_nobody_saw_are_left_out() -> None:
    found = some(4, 0, 2).gather(6, CPU, lambda table: table)
    assert {name: values.tolist() for name, values in found.items()} == {
        "index": [0, 2, 4],
        "label": [0, 2, 4],
        "class": [1, 3, 5],
    }


@pytest.mark.parametrize("other", [(1, 3), (1, 2, 3), ()], ids=["its share", "an image twice", "nothing"])
def test_devices_are_put_together_without_doubles(other: tuple[int, ...]) -> None:
    exchanged: list[torch.Tensor] = []
    some(*other).gather(6, CPU, lambda table: exchanged.append(table) or table)
    found = some(0, 2).gather(6, CPU, lambda table: torch.maximum(table, exchanged[0]))
    assert found["index"].tolist() == sorted({0, 2, *other})
    assert (found["class"] == found["index"] + 1).all()


def test_a_device_without_an_image_takes_part() -> None:
    assert some().gather(3, CPU, lambda table: table)["index"].tolist() == []


@pytest.mark.parametrize(("first", "kind"), [(0, np.int16), (2**15, np.int32)])
def test_classes_are_kept_in_as_few_bytes_as_hold_them(first: int, kind: type) -> None:
    assert some(0, 1, first=first).gather(2, CPU, lambda table: table)["class"].dtype == kind


def test_a_name_that_was_not_declared_is_refused() -> None:
    with pytest.raises(AssertionError, match="declared"):
        some().update(torch.tensor([0]), {"label": torch.tensor([0])})


def test_clearing_starts_anew() -> None:
    predictions = some(0, 1)
    predictions.clear()
    assert len(predictions.gather(2, CPU, lambda table: table)["index"]) == 0
