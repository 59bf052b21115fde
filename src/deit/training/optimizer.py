"""Optimiser, parameter groups and learning rate."""

import math
from collections.abc import Callable
from functools import partial

import torch
from timm.optim.lamb import Lamb
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from deit.config.execution import Optim, OptimizerKind, Schedule

# Tokens and position embeddings are inputs, not weights: the official code spares them from decay.
NEVER_DECAYED = frozenset({"cls_token", "dist_token", "pos_embed"})
EPSILON = 1e-8  # the official code's, for LAMB too, where timm's own would be 1e-6


def parameter_groups(module: nn.Module, optim: Optim) -> list[dict[str, object]]:
    """Two groups: matrices with weight decay; biases, norms, tokens and position embeddings without.

    Networks of timm name more that is to be spared, such as tables of relative positions.
    """
    spared_names = set(NEVER_DECAYED).union(
        *(
            {name.rpartition(".")[2] for name in part.no_weight_decay()}  # pyright: ignore[reportCallIssue]
            for part in module.modules()
            if hasattr(part, "no_weight_decay")
        )
    )
    if optim.decay_dist_token:
        spared_names.discard("dist_token")
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    spared = [p for name, p in trained if p.ndim <= 1 or name.rpartition(".")[2] in spared_names]
    ids = {id(parameter) for parameter in spared}
    decayed = [parameter for _, parameter in trained if id(parameter) not in ids]
    return [{"params": decayed, "weight_decay": optim.weight_decay}, {"params": spared, "weight_decay": 0.0}]


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, first: float, last: float) -> float:
    """Linear warm-up from ``first`` to ``peak``, then half a cosine to ``last``.

    Args:
        step: Optimiser steps done, from 0; beyond ``steps`` the rate stays ``last``.
        steps: Optimiser steps of the whole training.
        warmup_steps: Steps of the warm-up, fewer than ``steps``.
    """
    if step < warmup_steps:
        return first + (peak - first) * step / warmup_steps
    done = min((step - warmup_steps) / max(1, steps - warmup_steps), 1.0)
    return last + (peak - last) * (1 + math.cos(math.pi * done)) / 2


def official_learning_rate(
    epoch: int, *, epochs: int, warmup_epochs: int, peak: float, first: float, last: float
) -> float:
    """The rate of a whole epoch in the official code.

    Its scheduler steps after an epoch, with that epoch's number, so that every rate comes an epoch late and the first
    one twice. The cosine runs from epoch 0: when the warm-up ends, it is already ``warmup_epochs`` old.

    Args:
        epoch: From 0.
    """
    lagging = max(epoch - 1, 0)
    if lagging < warmup_epochs:
        return first + (peak - first) * lagging / warmup_epochs
    return last + (peak - last) * (1 + math.cos(math.pi * lagging / epochs)) / 2


def schedule(optim: Optim, *, steps_per_epoch: int) -> Callable[[int], float]:
    """The learning rate as a function of the optimiser steps done.

    Args:
        steps_per_epoch: Optimiser steps of an epoch.
    """
    rates = {"peak": optim.peak_lr, "first": optim.warmup_lr, "last": optim.min_lr}
    if optim.schedule is Schedule.official:
        late = partial(official_learning_rate, epochs=optim.epochs, warmup_epochs=optim.warmup_epochs, **rates)
        return lambda step: late(step // steps_per_epoch)
    steps, warmup_steps = optim.epochs * steps_per_epoch, optim.warmup_epochs * steps_per_epoch
    return partial(learning_rate, steps=steps, warmup_steps=warmup_steps, **rates)


def build(
    module: nn.Module, optim: Optim, *, steps_per_epoch: int, clipped: bool = False
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimiser over ``module``'s trained parameters and its schedule, one call a step.

    Args:
        optim: Kind, rates and lengths; the peak rate is ``optim.peak_lr``.
        steps_per_epoch: Optimiser steps of an epoch.
        clipped: Whether gradients are clipped, which Lightning refuses a fused optimiser in mixed precision.
    """
    optimizer = _optimizer(module, optim, clipped)
    rate = schedule(optim, steps_per_epoch=steps_per_epoch)
    return optimizer, LambdaLR(optimizer, lambda step: rate(step) / optim.peak_lr)


def _optimizer(module: nn.Module, optim: Optim, clipped: bool) -> torch.optim.Optimizer:
    groups = parameter_groups(module, optim)
    betas = (optim.momentum, 0.999)
    if optim.kind is OptimizerKind.adamw:
        fused = not clipped and all(parameter.device.type in ("cpu", "cuda") for parameter in module.parameters())
        return torch.optim.AdamW(groups, lr=optim.peak_lr, betas=betas, eps=EPSILON, fused=fused)
    if optim.kind is OptimizerKind.lamb:
        return Lamb(groups, lr=optim.peak_lr, betas=betas, eps=EPSILON)
    # The official code's name for SGD is timm's, which takes Nesterov's momentum.
    return torch.optim.SGD(groups, lr=optim.peak_lr, momentum=optim.momentum, nesterov=optim.momentum > 0)
