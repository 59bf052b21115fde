"""Rates, groups and schedules against the paper's numbers."""

from collections.abc import Callable

import pytest
import torch

from deit.config.schema import Config
from deit.models.students import build_student
from deit.training.optimizer import build, learning_rate, parameter_groups

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
    decayed, spared = parameter_groups(network, 0.05)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed_names, spared_names = ({names[id(p)] for p in group["params"]} for group in (decayed, spared))  # type: ignore[union-attr]
    assert len(decayed_names) + len(spared_names) == len(names)
    assert all(name.endswith("weight") and "norm" not in name for name in decayed_names)
    assert {"net.cls_token", "net.dist_token", "net.pos_embed", "net.norm.weight", "net.head.bias"} <= spared_names
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_the_rate_is_scaled_by_the_total_batch(config: Callable[..., Config], kind: str) -> None:
    settings = config("scale=paper", f"optim={kind}", "optim.batch_size=2048", "optim.lr=5e-4").optim
    optimizer, schedule = build(torch.nn.Linear(2, 2), settings, steps=300)
    for _ in range(5):  # 5 of 300 steps are the warm-up, as 5 of 300 epochs
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4 * 2048 / 512)
    assert type(optimizer).__name__.lower() == kind
