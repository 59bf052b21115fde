"""The batch at which a network is measured."""

from collections.abc import Callable

import pytest

from deit.benchmark.inference import fastest_batch


def test_doubling_ends_with_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def forward(size: int) -> Callable[[], object]:
        tried.append(size)
        if size > 8:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return lambda: None  # takes no time, so that each doubling gains

    monkeypatch.setattr("deit.benchmark.inference.TRIED", 0.0)
    assert fastest_batch(forward, "cpu") in (1, 2, 4, 8)
    assert max(tried) <= 16


def test_another_fault_is_told() -> None:
    def forward(size: int) -> Callable[[], object]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        fastest_batch(forward, "cpu")
