"""Metrics an image at a time: each returns (B,) percentages, 0 or 100, whose mean is the figure reported."""

import torch
from torch import Tensor

from deit.distillation.answers import decisions


def correct(scores: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Whether the label is among the ``k`` highest scores.

    Args:
        scores: (B, K) logits or probabilities; all classes count where there are fewer than ``k``.
        labels: (B,) int64.
    """
    best = scores.topk(min(k, scores.shape[-1]), dim=-1).indices
    return (best == labels[:, None]).any(dim=-1).float() * 100


def correct_decisions(decisions: Tensor, labels: Tensor) -> Tensor:
    """Whether (B,) decided classes are the (B,) labels."""
    return (decisions == labels).float() * 100


def agreement(scores: Tensor, others: Tensor) -> Tensor:
    """Whether two networks decide alike: 100 minus the disagreement of the paper's Table 4.

    Args:
        scores: (B, K) of one network.
        others: (B, K) of another, or (B,) its decisions.
    """
    return correct_decisions(scores.argmax(dim=-1), decisions(others))


def chance(labels: Tensor, num_classes: int) -> float:
    """Accuracy in percent of always naming the most frequent class of (n,) ``labels``."""
    return 100 * float(torch.bincount(labels, minlength=num_classes).max()) / len(labels)
