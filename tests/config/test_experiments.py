"""The official recipes: each composes, says what it is, and holds the published values."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config import rules
from deit.config.execution import LabelLoss, OptimizerKind, Schedule
from deit.config.material import Crop, MixMode, Order
from deit.config.schema import Config
from deit.config.teaching import KLReduction, Method

FOLDER = Path(__file__).parents[2] / "conf/experiment/official"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
STARTING = [name for name in RECIPES if "init: ???" in (FOLDER / f"{name}.yaml").read_text()]


@pytest.fixture
def official(config: Callable[..., Config]) -> Callable[..., Config]:
    def composed(name: str, *overrides: str) -> Config:
        start = ["init=start.pth"] if name in STARTING else []
        return config(f"experiment=official/{name}", *start, *overrides)

    return composed


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "recipe"])
def test_a_recipe_opens_with_what_it_reproduces(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    for heading in ("Reproduces", "Source", "Cost", "Expect", "Command"):
        assert re.search(rf"^# {heading}: .+", text, re.MULTILINE), heading
    assert f"python src/train.py experiment=official/{name} " in text
    assert text.startswith("# @package _global_")


@pytest.mark.parametrize("scale", ["paper", "nano"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_breaks_no_rule_but_for_missing_files(official: Callable[..., Config], name: str, scale: str) -> None:
    data = ["data=digits", "data.root=null"] if scale == "nano" else ["data.root=somewhere"]
    problems = rules.problems(official(name, f"scale={scale}", *data))
    files = ("data.root=", "is not a file", "needs the folder", "data.num_classes", "are not in", "data.own_val")
    # Rates of fine-tuning are for batches of 512: nano's own batch is overruled by the recipe, its own epochs too.
    assert [text for text in problems if not any(word in text for word in files)] == []


@pytest.mark.parametrize("size", ["ti", "s", "b"])
def test_pretraining_is_table_9(official: Callable[..., Config], size: str) -> None:
    c = official(f"deit_{size}")
    o, a = c.optim, c.augment
    assert (o.epochs, o.batch_size, o.peak_lr, o.weight_decay, o.warmup_epochs) == (300, 1024, 1e-3, 0.05, 5)
    assert (o.warmup_lr, o.min_lr, o.schedule, o.kind) == (1e-6, 1e-5, Schedule.official, OptimizerKind.adamw)
    assert (a.mixup, a.cutmix, a.mix_probability, a.switch_probability) == (0.8, 1.0, 1.0, 0.5)
    assert (a.mix_mode, a.order, a.repeats, a.erasing, a.smoothing) == (MixMode.batch, Order.official, 3, 0.25, 0.1)
    assert (a.auto_augment, a.color_jitter, a.crop, a.eval_share) == ("rand-m9-mstd0.5-inc1", 0, Crop.resized, 0.875)
    assert (c.model.drop_path, c.model.dropout, c.trainer.clip_grad, o.decay_dist_token) == (0.1, 0, None, True)
    assert (c.model.heads, c.embed_dim) == {"ti": (3, 192), "s": (6, 384), "b": (12, 768)}[size]
    assert not c.distill.active
    assert official(f"deit_{size}_1000").optim.epochs == 1000


@pytest.mark.parametrize("size", ["ti", "s", "b"])
def test_distillation_is_table_3(official: Callable[..., Config], size: str) -> None:
    hard, usual = official(f"deit_{size}_hard"), official(f"deit_{size}_soft_no_token")
    assert (hard.distill.method, hard.distill.alpha, hard.token) == (Method.hard, 0.5, True)
    assert hard.teacher.name == "regnety_160.deit_in1k"
    assert not official(f"deit_{size}_hard_no_token").token
    assert official(f"deit_{size}_soft").token
    soft = usual.distill
    assert (soft.method, soft.alpha, soft.tau, soft.kl, soft.token) == (Method.soft, 0.1, 3, KLReduction.numel, False)
    assert official(f"deit_{size}_hard_1000").optim.epochs == 1000


def test_fine_tuning_at_384_is_the_published_command(official: Callable[..., Config]) -> None:
    for name in ("deit_b_384", "deit_b_hard_384", "deit_b_hard_1000_384"):
        c = official(name)
        assert (c.image_size, c.optim.batch_size, c.optim.epochs, c.optim.weight_decay) == (384, 512, 30, 1e-8)
        assert c.optim.peak_lr == c.optim.min_lr == 5e-6
        assert c.model.eval_mode
    assert official("deit_b_hard_384").teacher.same_size, "the paper's teacher sees 384 pixels too"
    assert [official(f"deit_b_{px}").image_size for px in (160, 224, 320)] == [160, 224, 320]


def test_transfer_has_the_rates_of_the_issues(official: Callable[..., Config]) -> None:
    cars = official("transfer_cars")
    assert (cars.optim.kind, cars.optim.peak_lr, cars.optim.weight_decay) == (OptimizerKind.sgd, 0.01, 1e-4)
    assert (cars.optim.batch_size, cars.optim.epochs) == (768, 1000)
    assert (cars.augment.erasing, cars.model.drop_path) == (0, 0)
    inat = official("transfer_inat2018")
    assert (inat.optim.peak_lr, inat.optim.epochs, inat.augment.erasing) == (pytest.approx(7.5e-5), 360, 0.1)
    assert inat.model.drop_path == 0.1
    assert official("transfer_cifar100").optim.peak_lr == 5e-6
    assert not official("transfer_flowers102").data.own_val


def test_deit_iii_has_its_own_recipe(official: Callable[..., Config]) -> None:
    b = official("deit3_b")
    assert (b.optim.kind, b.optim.peak_lr, b.optim.batch_size, b.optim.epochs) == (OptimizerKind.lamb, 3e-3, 2048, 800)
    assert (b.optim.loss, b.augment.smoothing, b.augment.erasing) == (LabelLoss.binary, 0, 0)
    assert (b.augment.auto_augment, b.augment.color_jitter, b.augment.eval_share) == ("3a", 0.3, 1.0)
    assert (b.image_size, b.model.drop_path, b.model.drop_path_grows) == (192, 0.2, False)
    assert official("deit3_s").optim.peak_lr == 4e-3
    tuned = official("deit3_finetune")
    assert (tuned.optim.peak_lr, tuned.optim.weight_decay, tuned.augment.smoothing) == (1e-5, 0.1, 0.1)
    assert (tuned.augment.repeats, tuned.augment.erasing) == (1, 0)
    assert official("deit3_finetune", "resolution.pixels=384").model.drop_path == 0.15
    assert official("deit3_finetune", "resolution=320").model.drop_path == 0.15, "the nearest published size"
    assert official("deit3_finetune", "model=deit3_m").model.drop_path == 0.1, "nothing is published for M"
