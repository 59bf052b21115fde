"""Optimiser, parameter groups and learning rate."""

import math
from functools import partial

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from deit.config.execution import Optim, OptimizerKind

# Tokens and position embeddings are inputs, not weights: the official code spares them from decay
# (its dist_token was decayed only because timm 0.3.2 did not know the name).
NEVER_DECAYED = ("cls_token", "dist_token", "pos_embed")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups: matrices with ``weight_decay``; biases, norms, tokens and position embeddings without."""
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    spared = [p for name, p in trained if p.ndim <= 1 or name.rpartition(".")[2] in NEVER_DECAYED]
    ids = {id(parameter) for parameter in spared}
    decayed = [parameter for _, parameter in trained if id(parameter) not in ids]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


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


def build(module: nn.Module, optim: Optim, *, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimiser over ``module``'s trained parameters and its schedule, one call a step.

    Args:
        optim: Kind, rates and lengths; the peak rate is ``optim.peak_lr``.
        steps: Optimiser steps of the whole training.
    """
    groups = parameter_groups(module, optim.weight_decay)
    if optim.kind is OptimizerKind.adamw:
        fused = all(parameter.device.type in ("cpu", "cuda") for parameter in module.parameters())
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            groups, lr=optim.peak_lr, betas=(optim.momentum, 0.999), fused=fused
        )
    else:
        optimizer = torch.optim.SGD(groups, lr=optim.peak_lr, momentum=optim.momentum)
    rate = partial(
        learning_rate,
        steps=steps,
        warmup_steps=steps * optim.warmup_epochs // optim.epochs,
        peak=optim.peak_lr,
        first=optim.warmup_lr,
        last=optim.min_lr,
    )
    return optimizer, LambdaLR(optimizer, lambda step: rate(step) / optim.peak_lr)
