"""Every official recipe against the flags of the official commands and the defaults of main.py, flag by flag.

`official_flags.yaml` holds the flags, their values and where they are written.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from timm.optim.lamb import Lamb
from torch import nn

from deit.config.execution import LabelLoss, Schedule
from deit.config.material import Crop, Order
from deit.config.schema import Config
from deit.training import optimizer

HERE = Path(__file__).parent
FLAGS: dict[str, Any] = yaml.safe_load((HERE / "official_flags.yaml").read_text(encoding="utf-8"))
RECIPES = HERE.parents[1] / "conf/experiment/official"
CASES = [(name, case) for name, cases in FLAGS["recipes"].items() for case in cases]
ABOUT_COMMANDS = {"source", "processes"}
EVERYWHERE = {"model-ema": (False, "that it never")}  # what differs in all recipes

MODELS = {
    "deit_tiny": ("deit_ti", True), "deit_small": ("deit_s", True), "deit_base": ("deit_b", True),
    "deit_small_LS": ("deit3_s", False), "deit_medium_LS": ("deit3_m", False), "deit_base_LS": ("deit3_b", False),
    "deit_large_LS": ("deit3_l", False),
}  # fmt: skip
SETS = {"IMNET": "imagenet", "CIFAR": "cifar100", "CIFAR10": "cifar10", "INAT": "inat2018", "INAT19": "inat2019",
        "CARS": "cars", "FLOWERS": "flowers102"}  # fmt: skip


def official(case: dict[str, Any]) -> dict[str, Any]:
    """Values of all flags of a command: its own and, for the others, the defaults; of what has an effect."""
    command = FLAGS["commands"][case["command"]]
    values = {flag: value for flag, (value, _) in FLAGS["defaults"].items()}
    values |= {flag: value for flag, value in command.items() if flag not in ABOUT_COMMANDS}
    values |= {flag: value for flag, (value, _) in case.get("also", {}).items()}
    batch = values["batch-size"] * command["processes"]
    values["total batch"] = batch
    if not values["unscale-lr"]:
        values["lr"] = values["lr"] * batch / 512
    if values["ThreeAugment"]:
        values["aa"] = "3a"
    elif values["aa"]:
        values["color-jitter"] = 0.0  # timm's policy takes its place
    values["finetune"] = bool(values["finetune"])
    values["opt-betas"] = values["opt-betas"] or ([values["momentum"], 0.999] if values["opt"] != "sgd" else None)
    name = values.pop("model")
    values["token"] = "distilled" in name
    family = "_LS" if name.endswith("_LS") else ""
    values["model"], values["drop-path grows"] = MODELS["_".join(name.split("_")[:2]) + family]
    values["data-set"] = SETS[values["data-set"]]
    if values["distillation-type"] == "none":
        del values["teacher-model"], values["distillation-alpha"], values["distillation-tau"]
    elif values["distillation-type"] == "hard":
        del values["distillation-tau"]  # the hard loss has none
    return values


def ours(config: Config, starts: bool) -> dict[str, Any]:
    """Values of the same flags in a configuration. starts: whether it must start from weights."""
    o, a, d, m = config.optim, config.augment, config.distill, config.model
    built, _ = optimizer.build(nn.Linear(2, 2), o, steps_per_epoch=1)
    group = built.param_groups[0]
    kinds = {torch.optim.AdamW: "adamw", torch.optim.SGD: "sgd", Lamb: "lamb"}
    betas = [*group["betas"]] if "betas" in group else None
    values = {
        "total batch": o.batch_size, "epochs": o.epochs, "bce-loss": o.loss is LabelLoss.binary, "lr": o.peak_lr,
        "model": m.name, "token": config.token, "input-size": config.image_size, "drop": m.dropout,
        "drop-path": m.drop_path, "drop-path grows": m.drop_path_grows, "model-ema": o.ema is not None,
        "opt": kinds[type(built)], "opt-eps": group.get("eps", optimizer.EPSILON), "opt-betas": betas,
        "clip-grad": config.trainer.clip_grad, "momentum": o.momentum, "weight-decay": group["weight_decay"],
        "sched": "cosine" if o.schedule is Schedule.official else o.schedule, "warmup-lr": o.warmup_lr,
        "min-lr": o.min_lr, "warmup-epochs": o.warmup_epochs, "color-jitter": a.color_jitter, "aa": a.auto_augment,
        "smoothing": a.smoothing, "repeated-aug": a.repeats == 3 and a.order is Order.official,
        "train-mode": not m.eval_mode, "ThreeAugment": a.auto_augment == "3a", "src": a.crop is Crop.simple,
        "reprob": a.erasing, "mixup": a.mixup, "cutmix": a.cutmix, "mixup-prob": a.mix_probability,
        "mixup-switch-prob": a.switch_probability, "mixup-mode": str(a.mix_mode), "finetune": starts,
        "data-set": str(config.data.kind), "seed": config.seed, "eval-crop-ratio": a.eval_share,
        "distillation-type": str(d.method),
    }  # fmt: skip
    if d.active:
        values |= {"teacher-model": config.teacher.name.split(".")[0], "distillation-alpha": d.alpha}
    if values["distillation-type"] == "soft":
        values["distillation-tau"] = d.tau
    return values


def differences(case: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return EVERYWHERE | {flag: tuple(found) for flag, found in case.get("differs", {}).items()}


@pytest.mark.parametrize(
    ("name", "case"), CASES, ids=[" ".join([name, *case.get("overrides", [])]) for name, case in CASES]
)
def test_a_recipe_has_the_value_of_every_flag(config: Callable[..., Config], name: str, case: dict[str, Any]) -> None:
    file = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    starts = "init: ???" in file
    composed = config(f"experiment=official/{name}", *(["init=x"] if starts else []), *case.get("overrides", []))
    theirs, own = official(case), ours(composed, starts)
    compared = theirs.keys() - FLAGS["fixed"].keys() | {"opt-eps", "opt-betas"}
    assert compared == own.keys()
    expected = {flag: theirs[flag] for flag in compared} | {flag: v for flag, (v, _) in differences(case).items()}
    assert {flag: own[flag] for flag in compared} == {
        flag: pytest.approx(value) if isinstance(value, float | list) else value for flag, value in expected.items()
    }


@pytest.mark.parametrize(("name", "case"), CASES)
def test_what_differs_is_explained_in_the_header(name: str, case: dict[str, Any]) -> None:
    heads = [(RECIPES / f"{file}.yaml").read_text(encoding="utf-8").split("defaults:")[0] for file in (name, "recipe")]
    words = " ".join(" ".join(heads).replace("#", " ").split())
    theirs = official(case)
    for flag, (value, explanation) in differences(case).items():
        assert theirs[flag] != value, f"{flag} does not differ"
        assert explanation in words, flag


def test_every_recipe_and_every_flag_is_compared() -> None:
    assert sorted(FLAGS["recipes"]) == sorted(path.stem for path in RECIPES.glob("*.yaml"))
    assert {case["command"] for _, case in CASES} == FLAGS["commands"].keys(), "every command that is listed"
    known = FLAGS["defaults"].keys()
    assert FLAGS["fixed"].keys() <= known
    for command in FLAGS["commands"].values():
        assert command.keys() - ABOUT_COMMANDS <= known
    assert all(any(case is other for _, other in CASES) for _, case in CASES)
