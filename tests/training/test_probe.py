"""Measurement of a run's parts: which batch is measured, and what is left out of the time."""

from collections.abc import Callable

import pytest

from deit.config.schema import Config
from deit.data.pixels import warps
from deit.data.sources import open_dataset
from deit.data.views import TrainView
from deit.training import plan, probe

NO_TEACHER = ("teacher=none", "distill=none")


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (("scale=paper", "resolution=160"), 6),  # 7 images have 4 x 224 x 224 pixels; mixing is by pairs
        (("scale=paper",), 4),
        (("scale=paper", "resolution=384"), 2),  # 1 image has them
        (("scale=paper", "resolution=384", "augment=none"), 1),
        (("scale=paper", "resolution=160", "augment=light"), 6),
        (("scale=paper", "resolution=160", "augment=deit", "augment.mixup=0", "augment.cutmix=0"), 7),
        (("optim.batch_size=2",), 2),
        (("optim.batch_size=12", "trainer.accumulate=2"), 6),
        (("resolution.pixels=35", "scale.patch_size=5"), 16),
    ],
)
def test_the_batch_has_whole_pairs_where_images_are_mixed(
    config: Callable[..., Config], settings: tuple[str, ...], size: int
) -> None:
    composed = config(*NO_TEACHER, *settings)
    assert probe.batch_size(composed, probe.PIXELS["cpu"]) == size


def measured(config: Config) -> probe.Probe:
    data, student, teacher = plan.parts(config, open_dataset(config.data))
    return probe.measure(config, data, student, teacher)


@pytest.mark.parametrize(
    "settings",
    [
        ("resolution.pixels=160", "scale.patch_size=16"),
        ("resolution.pixels=200", "scale.patch_size=40", "trainer.accumulate=2"),
        ("resolution.pixels=63", "scale.patch_size=7", "data.train_fraction=0.02", "optim.batch_size=2"),
    ],
)
def test_parts_are_measured_at_odd_sizes(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    monkeypatch.setattr(probe, "ENOUGH", 0.01)
    found = measured(config(*NO_TEACHER, "scale.depth=1", "augment=deit", *settings))
    assert min(found.load, found.step, found.evaluate) > 0


def test_compilation_is_not_measured(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    if warps.kernels is None:
        pytest.skip("numba is not installed")
    happened: list[str] = []
    monkeypatch.setattr(probe, "ENOUGH", 0.01)
    monkeypatch.setattr(warps.kernels, "warm_up", lambda: happened.append("compiled"))
    clock = probe.repeated
    monkeypatch.setattr(probe, "repeated", lambda *a, **k: happened.append("timed") or clock(*a, **k))
    rendered = TrainView.of
    monkeypatch.setattr(TrainView, "of", lambda self, *a: happened.append("rendered") or rendered(self, *a))
    measured(config(*NO_TEACHER, "scale.depth=1", "augment=deit"))
    assert happened[0] == "compiled"
    assert happened[1 : happened.index("timed")].count("rendered") >= 16, "a whole batch is rendered before"


def test_the_plan_counts_in_whole_sentences() -> None:
    assert [plan.counted(n, "accumulated batch") for n in (1, 2)] == ["1 accumulated batch", "2 accumulated batches"]
    assert [plan.counted(n, "epoch") for n in (1, 1292)] == ["1 epoch", "1,292 epochs"]


@pytest.mark.parametrize(("workers", "words"), [(0, "in the training process"), (1, "in each of 1 worker"),
                                                (3, "in each of 3 workers")])  # fmt: skip
def test_the_plan_says_where_images_are_loaded_and_where_it_was_measured(
    config: Callable[..., Config], workers: int, words: str
) -> None:
    found = probe.Probe("cpu", load=0.01, step=0.002, teacher=0.0, evaluate=0.001)
    here = config(*NO_TEACHER, f"data.workers={workers}")
    data, _, _ = plan.parts(here, open_dataset(here.data))
    told = [text for _, text in plan._cost(here, data, found)]
    assert told[:2] == ["student 500.0 images/s, on one CPU process", f"loading 100 images/s {words}"]
    assert not any("measured on this machine" in text for text in told)
    there = config(*NO_TEACHER, "resources=slurm_1x1", "optim.batch_size=64")
    assert plan._cost(there, data, found)[-1][1] == (
        "measured on this machine; the nodes of resources=slurm_1x1 may be faster or slower"
    )
