"""How long work takes: a part of every step, without making the device wait for the clock, or one piece repeated."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch


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
    return Spent(time.perf_counter(), time.process_time())


def repeated(work: Callable[[], object], device: str, *, seconds: float) -> Spent:
    """What a call of ``work`` takes: called twice at least, and until ``seconds`` are over."""
    began = ended = now(device)
    calls = 0
    while calls < 2 or ended.wall - began.wall < seconds:
        work()
        calls, ended = calls + 1, now(device)
    return ended.since(began).per(calls)


class Stopwatch:
    """Sums the time spent inside ``measure``; on a GPU by events, read when the total is asked for."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def measure(self, device: torch.device) -> Iterator[None]:
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            yield
            end.record()
            self._events.append((begin, end))
        else:
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began

    def add(self, seconds: float) -> None:
        """Count what another process has measured."""
        self._seconds += seconds

    def total(self) -> float:
        """Seconds so far."""
        for begin, end in self._events:
            end.synchronize()
            self._seconds += begin.elapsed_time(end) / 1000  # milliseconds
        self._events.clear()
        return self._seconds
