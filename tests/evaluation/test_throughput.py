"""How fast a network is found to be, and at which batch."""

import time
from collections.abc import Callable

import pytest
import torch

from deit.evaluation import throughput as measuring
from deit.evaluation.throughput import PIXELS, device_name, fastest_batch, throughput

Work = Callable[[], object]


def in_memory_of(images: int, tried: list[int]) -> Callable[[int], Work]:
    """A network on a device that can hold so many images; it takes no time."""

    def forward(size: int) -> Work:
        tried.append(size)
        if size > images:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return lambda: None

    return forward


def broken(size: int) -> Work:
    raise RuntimeError("shapes do not match")


def test_doubling_ends_with_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr(measuring, "TRIED", 0.0)
    assert fastest_batch(in_memory_of(8, tried), "cpu") in (1, 2, 4, 8)
    assert max(tried) <= 16


def test_throughput_is_the_median_of_images_over_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ROUND_SECONDS", 0.0)
    speed, batch = throughput(lambda size: lambda: time.sleep(size / 1000), "cpu", pixels=PIXELS["cpu"] // 5)
    assert batch == 5
    assert 100 < speed <= 1000  # asleep for at least a millisecond an image


def test_a_batch_that_memory_does_not_hold_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ROUND_SECONDS", 0.0)
    tried: list[int] = []
    assert throughput(in_memory_of(8, tried), "cpu", pixels=PIXELS["cpu"] // 40)[1] == 5
    assert tried == [40, 20, 10, 5]


def test_images_larger_than_a_batch_are_measured_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ROUND_SECONDS", 0.0)
    assert throughput(in_memory_of(1, []), "cpu", pixels=10 * PIXELS["cpu"])[1] == 1


@pytest.mark.parametrize("measured", [fastest_batch, lambda forward, device: throughput(forward, device, pixels=1000)])
def test_another_fault_is_told(measured: Callable[[Callable[[int], Work], str], object]) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        measured(broken, "cpu")


def test_a_device_has_a_name() -> None:
    assert device_name("cpu").strip()
    if torch.cuda.is_available():
        assert device_name("cuda") == torch.cuda.get_device_name()
