"""Metrics against cases small enough to count."""

import pytest
import torch

from deit.config.teaching import Fusion
from deit.evaluation import heads, metrics
from deit.evaluation.averages import Averages

SCORES = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [3.0, 1.0, 2.0]])  # decides 0, 2, 1, 0
LABELS = torch.tensor([0, 2, 0, 1])


def test_correct_counts_the_label_among_the_best() -> None:
    assert metrics.correct(SCORES, LABELS).tolist() == [100, 100, 0, 0]
    assert metrics.correct(SCORES, LABELS, k=2).tolist() == [100, 100, 0, 0]
    assert metrics.correct(SCORES, LABELS, k=5).tolist() == [100] * 4  # only three classes: all count


def test_agreement_takes_scores_or_decisions() -> None:
    others = torch.tensor([0, 1, 1, 0])
    assert metrics.agreement(SCORES, others).tolist() == [100, 0, 100, 100]
    assert metrics.agreement(SCORES, torch.nn.functional.one_hot(others).float()).tolist() == [100, 0, 100, 100]


def test_chance_is_the_most_frequent_class() -> None:
    assert metrics.chance(LABELS, 3) == 50


def test_late_fusion_adds_probabilities_not_logits() -> None:
    classes = torch.tensor([[0.0, 6.0, 0.0]])  # sure of class 1
    distill = torch.tensor([[1.5, -5.0, 0.0]])  # rules class 1 out, but is sure of nothing
    fused = heads.softmax_fusion(classes, distill)
    assert torch.equal(fused, classes.softmax(-1) + distill.softmax(-1))
    assert fused.sum().item() == pytest.approx(2)
    assert heads.logit_fusion(classes, distill).argmax().item() == 0, "the official code decides otherwise"
    assert fused.argmax().item() == 1


def test_heads_are_reported_by_name() -> None:
    assert tuple(heads.by_head(SCORES, None)) == heads.head_names(False)
    assert tuple(heads.by_head(SCORES, SCORES.flip(0))) == heads.head_names(True)


@pytest.mark.parametrize(("fusion", "name"), [(Fusion.softmax, "fused"), (Fusion.logits, "fused_logits")])
def test_the_switch_chooses_the_fusion_to_compare_by(fusion: Fusion, name: str) -> None:
    scores = heads.by_head(SCORES, SCORES.flip(0), fusion)
    assert torch.equal(scores[""], scores[name])
    assert torch.equal(scores["fused_logits"], (SCORES + SCORES.flip(0)) / 2)


def test_averages_are_exact_over_batches_of_any_size() -> None:
    averages = Averages(("acc1",))
    for part in (SCORES[:3], SCORES[3:]):
        averages.update({"acc1": metrics.correct(part, LABELS[: len(part)] * 0)})
    first = averages.compute("val")
    assert first["val/acc1"].item() == 50  # of four images, not of two batches
    averages.update({"acc1": torch.tensor([100.0])})
    assert averages.compute("val")["val/acc1"].item() == 100  # started anew


def test_what_is_no_number_is_not_left_out_in_silence() -> None:
    averages = Averages(("loss",))
    averages.update({"loss": torch.tensor([1.0, float("nan")])})
    assert averages.compute("train")["train/loss"].isnan()


@pytest.mark.parametrize("fusion", list(Fusion))
def test_probabilities_sum_to_one_and_decide_as_the_scores_do(fusion: Fusion) -> None:
    held = heads.probabilities(SCORES, SCORES.flip(0), fusion)
    assert list(held) == ["class", "distill", "fused"]
    for probability in held.values():
        assert probability.sum(dim=-1).tolist() == pytest.approx([1.0] * len(SCORES))
    decided = heads.by_head(SCORES, SCORES.flip(0), fusion)[""].argmax(dim=-1)
    assert held["fused"].argmax(dim=-1).tolist() == decided.tolist()
    assert list(heads.probabilities(SCORES, None, fusion)) == ["class"]
