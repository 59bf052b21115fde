"""The tables of a run's test images, on a handful of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy, Strategy
from PIL import Image
from test_modules import SMALL, data_of, random_teacher

from deit.config.schema import Config
from deit.data.batches import EvalBatch
from deit.data.datamodule import KeyedData
from deit.data.sources import DataSet, open_dataset
from deit.training.run import build_module, initial_student
from deit.training.showcase import Showcase, samples_table


@pytest.fixture(scope="module")
def dataset(config: Callable[..., Config]) -> DataSet:
    return open_dataset(config(*SMALL).data)


def measured(config: Config, dataset: DataSet, folder: Path, **settings: object) -> tuple[Showcase, dict[str, float]]:
    """The showcase and the metrics of an untrained student."""
    teacher = random_teacher(config) if config.teacher.name != "none" else None
    module, data = build_module(config, dataset, initial_student(config, dataset), teacher), data_of(config, dataset)
    showcase = Showcase(data)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[showcase],
        use_distributed_sampler=False,
        default_root_dir=folder,
        **quiet | settings,
    )
    trainer.test(module, data, verbose=False)
    return showcase, {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_disagreement_with_labels_and_teacher_is_what_run_json_says(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path
) -> None:
    showcase, metrics = measured(config(*SMALL, "distill=hard"), dataset, tmp_path)
    columns, rows = showcase.tables["disagreement"]
    names = ["ground truth", "teacher", "class head", "distillation head", "both heads"]
    assert columns == ["one, other", *names]
    assert [row[0] for row in rows] == names
    cell = {(row[0], name): value for row in rows for name, value in zip(names, row[1:], strict=True)}
    expected = {
        ("ground truth", "teacher"): metrics["test/teacher_acc1"],
        ("ground truth", "class head"): metrics["test/acc1_class"],
        ("distillation head", "ground truth"): metrics["test/acc1_distill"],
        ("ground truth", "both heads"): metrics["test/acc1_fused"],
        ("both heads", "teacher"): metrics["test/agreement"],
    }
    for pair, agreement in expected.items():
        assert cell[pair] == pytest.approx(100 - agreement, abs=1e-3), pair
    assert cell["class head", "distillation head"] > 0


def test_samples_show_the_images_themselves_and_what_each_answers(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path
) -> None:
    columns, rows = measured(config(*SMALL, "distill=hard"), dataset, tmp_path)[0].tables["samples"]
    answers = ["teacher", "class head", "distillation head", "both heads"]
    assert columns == ["image", "index", "ground truth", "right", *(c for a in answers for c in (a, f"{a}, %"))]
    assert len(rows) == 32
    assert {row[3] for row in rows} == {True, False}
    for picture, index, label, right, *answered in rows:
        assert isinstance(picture, Image.Image)
        assert picture.size == (28, 28)
        whole = dataset.test.source.image(index).resize((28, 28), Image.Resampling.BICUBIC)
        assert np.corrcoef(np.asarray(picture).ravel(), np.asarray(whole).ravel())[0, 1] > 0.9, "as it looks, upright"
        assert label == dataset.classes[dataset.test.source.labels[index]]
        assert right == (answered[6] == label)
        assert all(10 <= percent <= 100 for percent in answered[1::2]), "the highest of ten classes"


def test_without_teacher_and_token_there_are_fewer_columns(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path
) -> None:
    tables = measured(config(*SMALL, "distill=none", "teacher=none"), dataset, tmp_path)[0].tables
    assert tables["disagreement"].columns == ["one, other", "ground truth", "class head"]
    assert tables["samples"].columns == ["image", "index", "ground truth", "right", "class head", "class head, %"]


def test_two_devices_make_the_tables_of_one(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(*SMALL, "distill=none", "teacher=none")
    alone = measured(settings, dataset, tmp_path)[0].tables
    parts: list[torch.Tensor] = []

    def reduce(strategy: Strategy, part: torch.Tensor, **_: object) -> torch.Tensor:
        if part.ndim < 2:
            return part  # a metric, which is another test's
        parts.append(part)
        return torch.stack(parts).amax(dim=0)

    monkeypatch.setattr(SingleDeviceStrategy, "reduce", reduce)
    for rank in (0, 1):  # one after the other; the second sees what both have
        monkeypatch.setattr(KeyedData, "_place", (rank, 2))
        together = measured(settings, dataset, tmp_path)[0].tables
    assert [part[:, 0].ge(0).sum().item() for part in parts] == [180, 179], "each saw its half of the test images"
    assert together["disagreement"] == alone["disagreement"]
    assert [row[1:4] for row in together["samples"].rows] == [row[1:4] for row in alone["samples"].rows]


def test_of_a_dry_run_only_what_was_seen_counts(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path
) -> None:
    settings = config(*SMALL, "distill=none", "teacher=none")
    showcase, metrics = measured(settings, dataset, tmp_path, limit_test_batches=1)
    assert len(showcase.tables["samples"].rows) == 16
    assert showcase.tables["disagreement"].rows[0][2] == pytest.approx(100 - metrics["test/acc1"], abs=1e-3)


def test_the_last_answer_is_the_one_that_is_right_or_wrong() -> None:
    raw = EvalBatch(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([1]), torch.tensor([7]))
    answers = {"teacher": torch.tensor([[0.9, 0.1]]), "class head": torch.tensor([[0.25, 0.75]])}
    (row,) = samples_table(raw, answers, ("cat", "dog")).rows
    assert row[1:] == [7, "dog", True, "cat", pytest.approx(90), "dog", 75.0]
