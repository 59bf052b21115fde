"""How long work takes on a device, and throughput: images a second in evaluation mode (DeiT section 5, Table 5)."""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

PIXELS = {"cpu": 224 * 224, "cuda": 128 * 224 * 224, "mps": 32 * 224 * 224}
"""Of the batch that `throughput` is measured at: enough to keep the device busy, few enough for seconds."""
ROUNDS, ROUND_SECONDS = 5, 0.05
GAIN = 1.03  # less is noise
TRIED = 0.3  # seconds for a batch size
MOST = 2**14  # images; beyond the largest GPU's need

Forward = Callable[[int], Callable[[], object]]
"""Makes, for a batch of so many images, the forward pass of one."""


class Spent(NamedTuple):
    """Seconds by two clocks."""

    wall: float
    cpu: float
    """Of all threads of the process: what neighbours on the machine take away does not count."""

    def since(self, began: "Spent") -> "Spent":
        """What lies between two readings."""
        return Spent(self.wall - began.wall, self.cpu - began.cpu)

    def per(self, count: int) -> "Spent":
        """The share of each of so many calls or images."""
        return Spent(self.wall / count, self.cpu / count)


def now(device: str) -> Spent:
    """A reading of both clocks, when all that ``device`` was given is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
    return Spent(time.perf_counter(), time.process_time())


def repeated(work: Callable[[], object], device: str, *, seconds: float, least: int = 2) -> Spent:
    """What a call of ``work`` takes: called ``least`` times at least, and until ``seconds`` are over."""
    began = ended = now(device)
    calls = 0
    while calls < least or ended.wall - began.wall < seconds:
        work()
        calls, ended = calls + 1, now(device)
    return ended.since(began).per(calls)


def throughput(forward: Forward, device: str, *, pixels: int) -> tuple[float, int]:
    """Images a second at a fixed batch: the median of a few rounds, after a call that only warms up.

    Args:
        pixels: Of one image, by which the batch is as large as `PIXELS` says; halved where memory is too small.

    Returns:
        Images a second, and the images of the batch.
    """
    size = max(1, PIXELS[device] // pixels)
    while True:
        try:
            work = forward(size)
            work()
            rounds = [repeated(work, device, seconds=ROUND_SECONDS, least=1).wall for _ in range(ROUNDS)]
            return size / statistics.median(rounds), size
        except RuntimeError as fault:
            if size == 1 or not _is_of_memory(fault):
                raise
            size //= 2


def fastest_batch(forward: Forward, device: str) -> int:
    """The batch at which an image takes the least time: doubled from 1, until two doublings bring nothing."""
    best, least, size = 1, float("inf"), 1
    while size <= min(4 * best, MOST):
        try:
            work = forward(size)
            work()
            spent = repeated(work, device, seconds=TRIED).per(size)
        except RuntimeError as fault:
            if not _is_of_memory(fault):
                raise
            break
        if spent.wall * GAIN < least:
            best, least = size, spent.wall
        size *= 2
    return best


def _is_of_memory(fault: RuntimeError) -> bool:
    """Whether memory was too small: torch's OutOfMemoryError is one; a CPU's allocator has no class of its own."""
    return "memory" in str(fault)


def device_name(device: str) -> str:
    """What the maker calls the GPU or the processor."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
