"""Candidates take turns, each round in another order, and ratios are taken within rounds."""

import pytest

from deit.benchmark.results import times_as_fast
from deit.benchmark.rounds import Candidate, interleaved, timed
from deit.evaluation.throughput import Spent


def test_each_round_has_another_order(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[tuple[str, float]] = []

    def candidate(name: str, wall: float) -> Candidate:
        def measure(seconds: float) -> Spent:
            order.append((name, seconds))
            return Spent(wall, 2 * wall)

        return Candidate(name, measure)

    taken = interleaved("x", [candidate("a", 1), candidate("b", 2), candidate("c", 3)], rounds=4, seconds=5)
    assert "".join(name for name, _ in order) == "abc" + "abc" + "bca" + "cab" + "abc"
    assert [seconds for _, seconds in order] == [0] * 3 + [5] * 12, "the first turn only warms up"
    assert taken["b"] == [Spent(2, 4)] * 4
    assert "x: round 4 of 4: a 1.00 s, b 2.00 s, c 3.00 s" in capsys.readouterr().err


def test_a_ratio_compares_the_same_round() -> None:
    taken = {"slow": [Spent(4, 8), Spent(40, 60)], "fast": [Spent(2, 1), Spent(10, 20)]}
    ratio = times_as_fast(taken, "fast", "slow")
    assert (ratio.name, ratio.samples) == ("fast : slow", [2, 4])
    assert ratio.record() == {"name": "fast : slow", "median": 3, "min": 2, "max": 4, "samples": [2, 4]}
    assert times_as_fast(taken, "fast", "slow", clock="cpu").samples == [8, 3]


def test_work_is_called_twice_at_least() -> None:
    calls: list[int] = []
    spent = timed(lambda: calls.append(1), "cpu", units=10)(0.0)
    assert len(calls) == 2
    assert 0 < spent.wall < 0.1
