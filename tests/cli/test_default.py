"""What a newcomer sees first: the default run learns, on data that it never saw."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Outcome


@pytest.mark.slow
def test_the_default_run_distils_a_student_of_97_percent(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("hydra.run.dir=out", timeout=900)
    assert outcome.status == 0, outcome.said
    metrics = json.loads((tmp_path / "out/run.json").read_text())["metrics"]
    assert metrics["teacher/acc1"] >= 97
    assert metrics["test/acc1_fused"] >= 97
    assert metrics["test/acc1_class"] >= 95
    assert metrics["test/acc1_distill"] >= 95


@pytest.mark.slow
def test_paper_scale_takes_real_steps_with_the_real_teacher(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(
        "scale=paper", "teacher.source=random", "trainer.limit_batches=2", "optim.epochs=1", "optim.warmup_epochs=0",
        "optim.batch_size=4", "optim.min_lr=0", "augment=deit", "hydra.run.dir=out", timeout=900,
    )  # fmt: skip
    assert outcome.status == 0, outcome.said
    assert "DRY RUN" in outcome.said
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["parameters"] == 5_910_800 - 2 * 990 * 193  # DeiT-Ti with the token, two heads of 10 classes


def test_published_weights_that_cannot_be_had_say_where_to_put_the_file(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    for name in ("train", "val"):
        for number in range(1000):
            folder = tmp_path / "imagenet" / name / f"n{number:08d}"
            folder.mkdir(parents=True)
            (folder / "0.jpg").write_bytes(b"never opened")
    outcome = deit_train("scale=paper", "data=imagenet", "data.root=imagenet", HF_HUB_OFFLINE="1", HF_HOME="none")
    assert outcome.status == 2
    assert "teacher.checkpoint=" in outcome.said
    assert "regnety_160" in outcome.said
    assert "Traceback" not in outcome.said
