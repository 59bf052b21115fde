"""Losses against numbers worked out by hand and against the formulas of the paper and the official code."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from deit.config.execution import LabelLoss
from deit.config.teaching import KLReduction, Method
from deit.distillation import losses

LOGITS = torch.tensor([[0.0, math.log(3.0)]])  # softmax: 1/4, 3/4


def test_soft_target_cross_entropy_by_hand() -> None:
    one_hot = torch.tensor([[0.0, 1.0]])
    assert losses.soft_target_cross_entropy(LOGITS, one_hot).item() == pytest.approx(math.log(4 / 3))
    mixed = torch.tensor([[0.5, 0.5]])
    expected = 0.5 * math.log(4) + 0.5 * math.log(4 / 3)
    assert losses.soft_target_cross_entropy(LOGITS, mixed).item() == pytest.approx(expected)


def test_binary_cross_entropy_takes_every_class_of_a_mixed_image_for_true() -> None:
    """BCEWithLogitsLoss on targets above zero, as the official code computes it for DeiT III."""
    targets = torch.tensor([[0.0, 0.3, 0.7]])
    logits = torch.tensor([[math.log(3.0), 0.0, math.log(3.0)]])  # probabilities 3/4, 1/2, 3/4
    expected = (math.log(4) + math.log(2) + math.log(4 / 3)) / 3
    assert losses.binary_cross_entropy(logits, targets).item() == pytest.approx(expected)
    assert losses.label_loss(logits, targets, LabelLoss.binary).item() == pytest.approx(expected)
    smooth = losses.label_loss(logits, targets, LabelLoss.cross_entropy)
    assert torch.equal(smooth, losses.soft_target_cross_entropy(logits, targets))


def test_hard_distillation_is_cross_entropy_with_the_teachers_decision_unsmoothed() -> None:
    teacher = torch.tensor([[5.0, -1.0]])  # decides for class 0, which the student gives a quarter
    assert losses.hard_distillation(LOGITS, teacher).item() == pytest.approx(math.log(4))


def test_soft_distillation_by_hand() -> None:
    teacher = torch.tensor([[0.0, 0.0]])  # softmax: 1/2, 1/2
    divergence = 0.5 * math.log((1 / 2) / (1 / 4)) + 0.5 * math.log((1 / 2) / (3 / 4))
    said = losses.soft_distillation(LOGITS, teacher, tau=1, reduction=KLReduction.batchmean)
    assert said.item() == pytest.approx(divergence, abs=1e-6)


def test_temperature_softens_both_sides_and_is_squared_outside() -> None:
    teacher = torch.tensor([[2.0, 0.0]])
    tau = 3.0
    p, q = (teacher / tau).softmax(-1), (LOGITS / tau).softmax(-1)
    expected = tau**2 * (p * (p / q).log()).sum().item()
    said = losses.soft_distillation(LOGITS, teacher, tau=tau, reduction=KLReduction.batchmean)
    assert said.item() == pytest.approx(expected, rel=1e-5)


def test_the_official_convention_divides_by_the_classes_too() -> None:
    torch.manual_seed(0)
    student, teacher, tau = torch.randn(8, 1000), torch.randn(8, 1000), 3.0
    official = (  # losses.py of the official code, line by line
        F.kl_div(
            F.log_softmax(student / tau, dim=1), F.log_softmax(teacher / tau, dim=1), reduction="sum", log_target=True
        )
        * (tau * tau)
        / student.numel()
    )
    said = losses.soft_distillation(student, teacher, tau=tau, reduction=KLReduction.numel)
    assert said.item() == pytest.approx(official.item(), rel=1e-6)
    meant = losses.soft_distillation(student, teacher, tau=tau, reduction=KLReduction.batchmean)
    assert meant.item() == pytest.approx(official.item() * 1000, rel=1e-5)


def test_alpha_weighs_the_teacher() -> None:
    label, teacher = torch.tensor(2.0), torch.tensor(4.0)
    assert [losses.combine(label, teacher, a).item() for a in (0.0, 0.5, 1.0)] == [2.0, 3.0, 4.0]
    assert losses.combine(label, teacher, 0.1).item() == pytest.approx(0.9 * 2 + 0.1 * 4)


@pytest.mark.parametrize("method", [Method.soft, Method.hard])
def test_a_teachers_logits_get_no_gradient_and_descent_lowers_the_loss(method: Method) -> None:
    torch.manual_seed(0)
    student = torch.randn(16, 5, requires_grad=True)
    teacher = torch.randn(16, 5)
    values = []
    for _ in range(20):
        loss = losses.distillation(student, teacher, method=method, tau=2.0, reduction=KLReduction.batchmean)
        (gradient,) = torch.autograd.grad(loss, student)
        student = (student - gradient).detach().requires_grad_()
        values.append(loss.item())
    assert all(later < earlier for earlier, later in itertools.pairwise(values))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), tau=st.floats(0.5, 10), shift=st.floats(-50, 50))
def test_soft_distillation_is_zero_for_equal_answers_and_blind_to_shifts(seed: int, tau: float, shift: float) -> None:
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(seed))
    others = torch.randn(4, 7, generator=torch.Generator().manual_seed(seed + 1))

    def loss(a: torch.Tensor, b: torch.Tensor) -> float:
        return losses.soft_distillation(a, b, tau=tau, reduction=KLReduction.batchmean).item()

    assert loss(logits, logits + shift) == pytest.approx(0, abs=1e-3)
    assert loss(logits, others) > -1e-6
    assert loss(logits, others) == pytest.approx(loss(logits + shift, others), rel=1e-2, abs=1e-3)


def test_half_precision_logits_are_summed_in_single() -> None:
    logits = torch.tensor([[80.0, -80.0]], dtype=torch.bfloat16)
    assert losses.soft_target_cross_entropy(logits, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(160)
