"""The search for the largest batch, what is advised by it, and a real step on the CPU."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from deit.config.schema import Config
from deit.doctor import memory
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Grade

TINY = ("scale.depth=1", "teacher.nano_width=0.05", "data.train_fraction=0.25")


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 33, 100, 129, 1000, 5000, 10**6])
def test_the_search_ends_close_below_what_fits(limit: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    found = memory.largest(fits, 4096)
    possible = min(limit // 2 * 2, 4096)
    assert found % 2 == 0
    assert possible - max(2, possible // memory.CLOSE) <= found <= possible
    assert len(tried) <= 17  # twelve doublings, and halvings to a sixteenth
    assert len(tried) == len(set(tried))


@pytest.mark.parametrize(("most", "parts"), [(1024, 1), (1023, 2), (512, 2), (300, 4), (2, 512), (1, None)])
def test_as_few_batches_are_accumulated_as_memory_allows(
    most: int, parts: int | None, config: Callable[..., Config]
) -> None:
    assert memory.accumulation(config("optim.batch_size=1024"), most) == parts


def test_what_is_accumulated_divides_the_batch_in_pairs_over_devices(config: Callable[..., Config]) -> None:
    """96 over 2 devices: 48 on each, which are 3 batches of 16 where 20 fit, for 2 would be of 24."""
    assert memory.accumulation(config("optim.batch_size=96", "trainer=ddp", "trainer.devices=2"), 20) == 3


@pytest.mark.parametrize(
    ("accumulate", "most", "grade", "advice"),
    [
        (1, 100, Grade.problem, "trainer.accumulate=4"),  # 64 of 256, and no more than nine tenths of 100
        (1, 1000, Grade.ok, ""),
        (1, 260, Grade.warning, "trainer.accumulate=2"),
        (8, 300, Grade.warning, "trainer.accumulate=1"),
    ],
)
def test_what_to_accumulate_is_said(
    accumulate: int, most: int, grade: Grade, advice: str, config: Callable[..., Config]
) -> None:
    settings = config("optim.batch_size=256", f"trainer.accumulate={accumulate}")
    peaks = {16: 1.0, 256 // accumulate: 8.0}
    found = memory.advised(settings, most, peaks, total=80.0)
    assert found.grade is grade
    assert found.advice.startswith(advice) and bool(found.advice) == bool(advice)
    assert "16 images: 1.00 GB" in found.listed


@pytest.mark.parametrize("distill", ["distill=none", "distill=soft"])
def test_a_step_of_the_configuration_is_measured_on_the_cpu(distill: str, config: Callable[..., Config]) -> None:
    (found,) = memory.check(Subject(config(*TINY, distill, "optim.batch_size=32", "optim.ema=0.9")))
    assert found.grade is Grade.ok
    assert found.found.startswith("32 images a step take ") and "(measured)" in found.found


def test_more_than_is_free_is_a_problem(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1.0)
    monkeypatch.setattr(memory, "_resident", lambda: 1.0)
    peaks = iter([1.1, 1.3])
    monkeypatch.setattr(memory, "_status", lambda field: next(peaks))
    monkeypatch.setattr(memory, "CPU_PIXELS", 12 * 28**2)
    found = memory.on_cpu(config("optim.batch_size=64"), lambda size: None)  # pyright: ignore[reportArgumentType]
    assert "64 images a step take 1.34 GB" in found.found  # 0.1 for 2, and 0.02 for each of 62 more
    assert "reckoned from 12" in found.found
    assert found.grade is Grade.problem


def test_a_gpu_that_is_not_there_has_no_memory_to_measure(config: Callable[..., Config]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(memory.Unmet, match="wants a GPU"):
        list(memory.check(Subject(config(*TINY, "trainer=gpu"))))


def test_a_gpu_is_filled_until_its_memory_is_too_small(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in of 100 images, 0.8 GB each; what is advised leaves a tenth of them free."""
    made: list[int] = []

    class Steps:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)

        def __call__(self, size: int) -> None:
            if size > 100:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            made.append(size)

    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: made[-1] * 8 * 10**8)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(total_memory=80e9))
    found = memory.on_gpu(config("optim.batch_size=1024"), Steps())  # pyright: ignore[reportArgumentType]
    assert found.grade is Grade.problem
    assert found.found == "100 images fit a GPU of 80 GB at once, optim.batch_size=1024 puts 1,024 on each"
    assert found.advice == "trainer.accumulate=16"
    assert found.listed[0] == "2 images: 1.60 GB" and found.listed[-1] == "100 images: 80.00 GB"
    assert "memory: 128 images are too many" in capsys.readouterr().err
