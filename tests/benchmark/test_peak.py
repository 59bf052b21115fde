"""Peak that shares are taken of: the fastest operation of each round."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from deit.benchmark import peak
from deit.config.schema import Config
from deit.evaluation.throughput import Spent


def test_the_peak_is_the_fastest_operation_of_each_round() -> None:
    times = {"matrix product": ([Spent(1, 1), Spent(4, 4)], 8.0), "convolution": ([Spent(2, 2), Spent(2, 2)], 8.0)}
    assert peak.per_round(times) == [8, 4]


def test_operations_are_counted_as_torch_counts_them(config: Callable[..., Config]) -> None:
    found = peak.candidates(config(), "cpu")
    assert {"matrix product", "convolution 3 x 3, channels first", "convolution 1 x 1, channels last"} <= found.keys()
    for work, flops in found.values():
        with FlopCounterMode(display=False) as counter:
            result = work()
        assert counter.get_total_flops() == flops
        assert isinstance(result, torch.Tensor)
        assert not result.requires_grad
