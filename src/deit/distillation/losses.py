"""Losses as pure functions of logits. Shapes: B batch, K classes. All return a scalar, the mean over the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from deit.config.execution import LabelLoss
from deit.config.teaching import KLReduction, Method
from deit.distillation.answers import decisions


def soft_target_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy against label distributions: ``-sum_k targets_k log softmax(logits)_k``.

    Args:
        logits: (B, K).
        targets: (B, K), each row a distribution: one-hot, smoothed, mixed, or all of it.
    """
    return -(targets * F.log_softmax(logits.float(), dim=-1)).sum(dim=-1).mean()


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """One binary decision a class, the mean over B and K (DeiT III, section 3.1, after Wightman et al., 2021).

    Every class with a share in a mixed image is true, however small its share: targets must not be smoothed.

    Args:
        logits: (B, K).
        targets: (B, K), zero exactly where the class is not in the image.
    """
    return F.binary_cross_entropy_with_logits(logits.float(), targets.gt(0).float())


def label_loss(logits: Tensor, targets: Tensor, kind: LabelLoss) -> Tensor:
    """The labels' part of the loss by its name; see `soft_target_cross_entropy` and `binary_cross_entropy`."""
    if kind is LabelLoss.binary:
        return binary_cross_entropy(logits, targets)
    return soft_target_cross_entropy(logits, targets)


def hard_distillation(logits: Tensor, teacher_answer: Tensor) -> Tensor:
    """Cross-entropy against the teacher's decision, never smoothed (DeiT equation 3, and the ICML text).

    Args:
        logits: (B, K) of the student's head that learns from the teacher.
        teacher_answer: (B, K) logits or (B,) decisions.
    """
    return F.cross_entropy(logits.float(), decisions(teacher_answer))


def soft_distillation(logits: Tensor, teacher_logits: Tensor, *, tau: float, reduction: KLReduction) -> Tensor:
    """``tau^2 KL(softmax(teacher / tau) || softmax(student / tau))`` (DeiT equation 2; Hinton et al., 2015).

    Args:
        logits: (B, K) of the student's head that learns from the teacher.
        teacher_logits: (B, K).
        tau: Temperature, above 0.
        reduction: ``batchmean`` divides by B, as the equation means it; ``numel`` by B * K, as
            losses.py of the official code does: K times smaller.
    """
    student = F.log_softmax(logits.float() / tau, dim=-1)
    teacher = F.log_softmax(teacher_logits.float() / tau, dim=-1)
    total = F.kl_div(student, teacher, reduction="sum", log_target=True) * tau**2
    return total / (logits.numel() if reduction is KLReduction.numel else len(logits))


def distillation(
    logits: Tensor, teacher_answer: Tensor, *, method: Method, tau: float, reduction: KLReduction
) -> Tensor:
    """The teacher's part of the loss by the method's name; see `hard_distillation` and `soft_distillation`."""
    assert method is not Method.none, "without a method there is no teacher's part; the caller decides"
    if method is Method.hard:
        return hard_distillation(logits, teacher_answer)
    return soft_distillation(logits, teacher_answer, tau=tau, reduction=reduction)


def combine(label_loss: Tensor, teacher_loss: Tensor, alpha: float) -> Tensor:
    """``(1 - alpha) label + alpha teacher``: the paper's lambda is alpha (equation 2); equation 3 has one half."""
    return torch.lerp(label_loss, teacher_loss, alpha)
