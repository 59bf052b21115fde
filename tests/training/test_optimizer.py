"""Rates, groups and schedules against the paper's numbers."""

from collections.abc import Callable

import pytest
import torch

from deit.config.schema import Config
from deit.models.students import build_student
from deit.training.optimizer import build, learning_rate, official_learning_rate, parameter_groups

PEAK, FIRST, LAST = 1e-3, 1e-6, 1e-5
RATE = {"steps": 100, "warmup_steps": 10, "peak": PEAK, "first": FIRST, "last": LAST}


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine() -> None:
    assert learning_rate(0, **RATE) == FIRST
    assert learning_rate(5, **RATE) == pytest.approx((FIRST + PEAK) / 2)
    assert learning_rate(10, **RATE) == PEAK
    assert learning_rate(55, **RATE) == pytest.approx((PEAK + LAST) / 2)
    assert learning_rate(100, **RATE) == pytest.approx(LAST)
    assert learning_rate(1000, **RATE) == pytest.approx(LAST)
    falling = [learning_rate(step, **RATE) for step in range(10, 101)]
    assert falling == sorted(falling, reverse=True)


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert learning_rate(0, **{**RATE, "warmup_steps": 0}) == PEAK


def student(config: Config) -> torch.nn.Module:
    normalise = {"mean": config.data.mean, "std": config.data.std}
    return build_student(config.model, config.scale, image_size=28, token=True, num_classes=10, **normalise)


def test_only_matrices_decay(config: Callable[..., Config]) -> None:
    network = student(config())
    decayed, spared = parameter_groups(network, config().optim)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed_names, spared_names = ({names[id(p)] for p in group["params"]} for group in (decayed, spared))  # type: ignore[union-attr]
    assert len(decayed_names) + len(spared_names) == len(names)
    assert all(name.endswith("weight") and "norm" not in name for name in decayed_names)
    assert {"net.cls_token", "net.dist_token", "net.pos_embed", "net.norm.weight", "net.head.bias"} <= spared_names
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)


def test_the_official_rate_comes_an_epoch_late() -> None:
    """What timm 0.3.2 gives the official code for a peak of 1e-3, 300 epochs, 5 of them warm-up."""
    shared = {"epochs": 300, "warmup_epochs": 5, "peak": 1e-3, "first": 1e-6, "last": 1e-5}
    known = {0: 1e-6, 1: 1e-6, 2: 2.008e-4, 3: 4.006e-4, 4: 6.004e-4, 5: 8.002e-4, 6: 9.993e-4, 299: 1.011e-5}
    for epoch, rate in known.items():
        assert official_learning_rate(epoch, **shared) == pytest.approx(rate, rel=5e-4)


def test_the_official_rate_is_one_for_all_steps_of_an_epoch(config: Callable[..., Config]) -> None:
    settings = config("scale=paper", "optim.schedule=official").optim
    optimizer, schedule = build(torch.nn.Linear(2, 2), settings, steps_per_epoch=7)
    rates = []
    for _ in range(21):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:14] == pytest.approx([1e-6] * 14)
    assert rates[14:] == pytest.approx([2.008e-4] * 7, rel=5e-4)


def test_the_distillation_token_decays_only_as_in_the_official_code(config: Callable[..., Config]) -> None:
    network = student(config())
    token = network.get_parameter("net.dist_token")

    def decays(*overrides: str) -> bool:
        decayed, _ = parameter_groups(network, config(*overrides).optim)
        return any(parameter is token for parameter in decayed["params"])  # type: ignore[union-attr]

    assert not decays()
    assert decays("optim.decay_dist_token=true")


def test_networks_of_timm_name_what_is_spared(config: Callable[..., Config]) -> None:
    import timm

    swin = timm.create_model("swin_tiny_patch4_window7_224", num_classes=2, depths=(1, 1, 1, 1), img_size=224)
    decayed, _ = parameter_groups(swin, config().optim)
    tables = [p for name, p in swin.named_parameters() if "relative_position_bias_table" in name]
    assert tables
    assert not {id(p) for p in tables} & {id(p) for p in decayed["params"]}  # type: ignore[union-attr]


def test_an_unscaled_rate_is_the_peak_whatever_the_batch(config: Callable[..., Config]) -> None:
    assert config("optim.scale_lr=false", "optim.lr=3e-3", "optim.batch_size=2048").optim.peak_lr == 3e-3


@pytest.mark.parametrize("kind", ["adamw", "sgd", "lamb"])
def test_the_rate_is_scaled_by_the_total_batch(config: Callable[..., Config], kind: str) -> None:
    settings = config("scale=paper", f"optim={kind}", "optim.batch_size=2048", "optim.lr=5e-4").optim
    optimizer, schedule = build(torch.nn.Linear(2, 2), settings, steps_per_epoch=1)
    for _ in range(5):  # 5 of 300 steps are the warm-up, as 5 of 300 epochs
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4 * 2048 / 512)
    assert type(optimizer).__name__.lower() == kind
