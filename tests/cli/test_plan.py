"""plan=true: what would be done and how long it would take, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import Outcome


def test_a_plan_says_what_would_be_done_and_leaves_nothing(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("plan=true", "optim.epochs=10")
    assert outcome.status == 0, outcome.said
    for words in (
        "deit_ti, ",
        "class head and distillation head",
        "28 x 28 pixels, 7 x 7 patches of 4 pixels",
        "1,293 training images, 10 classes",
        "1,292 views (1 view per image) in 81 optimiser steps",
        "10 epochs, 12,920 views, 810 optimiser steps",
        "16 views per step: 1 device x 1 accumulated batch x 16 views",
        "peak 0.001 = 0.032 x 16 / 512",
        "trained once on this dataset",
        "it must be trained first; the estimate leaves that time out",
        "each training view as the student gets it, at 28 pixels",
        "warm-up 5 -> 2 epochs",
    ):
        assert words in outcome.said, words
    assert re.search(r"student [\d,.]+ images/s, teacher [\d,.]+ images/s, on one CPU process", outcome.said)
    assert re.search(r"loading [\d,]+ images/s in each of 1 worker\b", outcome.said)
    assert re.search(r"[\d.]+ (s|min|h) per epoch, [\d.]+ (s|min|h) in total", outcome.said)
    assert list(tmp_path.iterdir()) == [], "nothing is written"


@pytest.mark.slow
def test_a_sweep_is_planned_in_one_table(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("plan=true", "distill=none", "model=deit_ti,deit_s", "seed=0,1", "scale.depth=1", "-m")
    assert outcome.status == 0, outcome.said
    assert "Plan of a sweep; 4 jobs: 4 to start" in outcome.said
    assert re.search(r"3 .* model=deit_s seed=1 .* to start .* [\d.]+ (s|min) .* [\d.]+ (s|min|h)", outcome.said)
    assert re.search(r"total, if the jobs run one after another .* [\d.]+ (s|min|h)", outcome.said)
    assert "Estimates: 2 speeds measured here" in outcome.said, "a seed costs no time"
    assert list(tmp_path.iterdir()) == []


def test_a_plan_refuses_what_a_run_would(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("plan=true", "distill.alpha=2")
    assert (outcome.status, list(tmp_path.iterdir())) == (2, [])
    assert "distill.alpha=2 is out of range" in outcome.said


@pytest.mark.slow
def test_an_official_recipe_is_planned_on_a_laptop(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    picture = Image.effect_noise((300, 260), 80).convert("RGB")
    for split, count in (("train", 2), ("val", 1)):
        for number in range(1000):
            folder = tmp_path / "imagenet" / split / f"n{number:08d}"
            folder.mkdir(parents=True)
            for i in range(count):
                picture.save(folder / f"{i}.jpg", quality=50)
    outcome = deit_train(
        "experiment=official/deit_b_hard", "data=imagenet", "data.root=imagenet", "plan=true", timeout=600
    )
    assert outcome.status == 0, outcome.said
    for words in (
        "deit_b, 87,338,192 parameters, class head and distillation head",
        "224 x 224 pixels, 14 x 14 patches",
        "2,000 training images, 1,000 classes",
        "1,024 views (3 views per image) in 1 optimiser step",
        "300 epochs, 307,200 views, 300 optimiser steps",
        "peak 0.001 = 0.0005 x 1024 / 512",
        "schedule official",
        "regnety_160.deit_in1k, published weights",
        "at 224 pixels",
        "hard labels, weight 0.5",
    ):
        assert words in outcome.said, words
    assert {path.name for path in tmp_path.iterdir()} == {"imagenet"}
