"""Candidates measured side by side: in rounds, each round in another order.

What one second of a machine does changes with its temperature, its clock and its neighbours, mostly slowly. A ratio
within a round sees both sides under the same conditions.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deit.evaluation.throughput import Spent, repeated


@dataclass(frozen=True)
class Candidate:
    """Something whose speed is to be known."""

    name: str
    measure: Callable[[float], Spent]
    """Works for about so many seconds and says what one unit took: an image, a step, a start."""


def timed(work: Callable[[], object], device: str, *, units: int = 1) -> Callable[[float], Spent]:
    """Measures what a unit takes of ``work``, which does so many ``units`` a call; for `Candidate`."""
    return lambda seconds: repeated(work, device, seconds=seconds).per(units)


def interleaved(what: str, candidates: Sequence[Candidate], *, rounds: int, seconds: float) -> dict[str, list[Spent]]:
    """What a unit of each candidate took in each of so many ``rounds``, by its name; says how it goes on stderr."""
    taken: dict[str, list[Spent]] = {candidate.name: [] for candidate in candidates}
    for candidate in candidates:
        candidate.measure(0.0)  # fills caches, allocators, and what a candidate knows about its own speed
    for number in range(rounds):
        first = number % len(candidates)
        for candidate in (*candidates[first:], *candidates[:first]):
            taken[candidate.name].append(candidate.measure(seconds))
        told = ", ".join(f"{name} {_time(spent[-1].wall)}" for name, spent in taken.items())
        sys.stderr.write(f"{what}: round {number + 1} of {rounds}: {told}\n")
    return taken


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
