"""Peak of a device: the highest rate of floating-point operations that one of a few large operations reaches.

On CPUs convolutions are often faster than products of matrices, because oneDNN lays out their memory as it likes, and
which layout is the fastest differs between machines.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch.nn import functional as F

from deit.config.schema import Config
from deit.evaluation.throughput import Spent
from deit.training import probe

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices: large enough for the peak
CHANNELS, PIXELS, BATCH = 256, 28, {"cpu": 8, "cuda": 256}  # of the convolutions
LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}

Work = tuple[Callable[[], object], float]
"""An operation and its floating-point operations."""


def candidates(config: Config, device: str) -> dict[str, Work]:
    """Return the operations in the precision of the run, by their names."""
    dtype = probe.DTYPES.get(config.trainer.precision, torch.float32)
    side, batch = SIDE[device], BATCH[device]
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    found: dict[str, Work] = {"matrix product": (partial(torch.matmul, one, other), 2 * side**3)}
    for size in (1, 3):
        for layout, memory in LAYOUTS.items():
            images = torch.randn(batch, CHANNELS, PIXELS, PIXELS, device=device, dtype=dtype)
            weight = torch.randn(CHANNELS, CHANNELS, size, size, device=device, dtype=dtype)
            work = partial(_convolution, images.to(memory_format=memory), weight.to(memory_format=memory))
            flops = 2 * batch * PIXELS**2 * CHANNELS**2 * size**2
            found[f"convolution {size} x {size}, {layout}"] = (work, flops)
    return found


def _convolution(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return F.conv2d(images, weight, padding=weight.shape[-1] // 2)


def per_round(taken: Mapping[str, tuple[Sequence[Spent], float]]) -> list[float]:
    """Return the highest rate of each round in floating-point operations per second.

    Args:
        taken: Times of each operation by round, and its floating-point operations.
    """
    rates = [[flops / spent.wall for spent in times] for times, flops in taken.values()]
    return [max(of_round) for of_round in zip(*rates, strict=True)]
