"""Which side holds a run up, by hand: seconds an image of loading, step and teacher."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deit.config.material import DataKind
from deit.config.schema import Config
from deit.doctor.speed import bottleneck
from deit.doctor.verdicts import Grade
from deit.training.probe import Probe

MEASURED = Probe("cuda", load=0.010, step=0.001, teacher=0.001, evaluate=0.0005)  # five loaders keep up


@pytest.mark.parametrize(
    ("workers", "cores", "grade", "advice"),
    [
        (5, 16, Grade.ok, ""),
        (2, 16, Grade.warning, "data.workers=5"),
        (0, 16, Grade.warning, "data.workers=5"),
        (0, 4, Grade.warning, "data.pack=256 data.workers=3"),
        (3, 4, Grade.warning, "data.pack=256"),
    ],
)
def test_loaders_are_counted_against_the_device(
    workers: int, cores: int, grade: Grade, advice: str, config: Callable[..., Config]
) -> None:
    settings = config()
    photographs = replace(settings.data, kind=DataKind.imagenet, workers=workers)
    found = bottleneck(replace(settings, data=photographs), MEASURED, cores)
    assert found.grade is grade
    assert found.advice == advice
    assert "cuda computes 500.0 images/s, 1,000.0 without the teacher" in found.found
    assert found.found.startswith("computing" if grade is Grade.ok else "loading")


def test_what_lies_in_memory_is_not_packed_and_slow_decoding_is_told(config: Callable[..., Config]) -> None:
    found = bottleneck(config("data.workers=3", "data.decode=reference"), MEASURED, cores=4)
    assert found.advice == "data.decode=fast"
    assert (
        bottleneck(config("data.workers=3"), MEASURED, cores=4).advice == "more cores: 5 loaders a device would keep up"
    )
