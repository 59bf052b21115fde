"""What is kept of an answer is enough for every figure. Shapes: 40 images, 12 classes."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, top_k_accuracy_score

from deit.config.teaching import Fusion
from deit.evaluation.answers import answer_rows, from_rows
from deit.evaluation.heads import by_head, head_names, log_probabilities, probabilities

GENERATOR = torch.Generator().manual_seed(0)
CLASS, DISTILL = (torch.randn(40, 12, generator=GENERATOR) * 3 for _ in range(2))
LABELS = torch.randint(12, (40,), generator=GENERATOR)
TWO_HEADS = head_names(True)[1:]


def test_the_two_fusions_are_probabilities_of_what_by_head_scores() -> None:
    held, scores = log_probabilities(CLASS, DISTILL), by_head(CLASS, DISTILL)
    for name in TWO_HEADS:
        torch.testing.assert_close(held[name].exp().sum(dim=-1), torch.ones(40))
        assert torch.equal(held[name].argmax(dim=-1), scores[name].argmax(dim=-1))
    for fusion, name in ((Fusion.softmax, "fused"), (Fusion.logits, "fused_logits")):
        torch.testing.assert_close(held[name].exp(), probabilities(CLASS, DISTILL, fusion)["fused"])


def test_what_is_all_but_impossible_has_a_finite_logarithm() -> None:
    sure = torch.tensor([[200.0, 0.0]])
    assert all(torch.isfinite(held).all() for held in log_probabilities(sure, sure).values())


def test_figures_are_scikit_learns() -> None:
    heads = from_rows(answer_rows(CLASS, DISTILL, LABELS).numpy(), TWO_HEADS)
    for name, held in log_probabilities(CLASS, DISTILL).items():
        chances = held.exp().double().numpy()
        head = heads[name]
        assert head.nll.mean() == pytest.approx(log_loss(LABELS, chances, labels=range(12)), abs=1e-5)
        np.testing.assert_allclose(head.confidence, chances.max(axis=1), rtol=1e-6)
        for k in (1, 5):
            mine = (head.best[:, :k] == LABELS.numpy()[:, None]).any(axis=1).mean()
            assert mine == top_k_accuracy_score(LABELS, chances, k=k, labels=range(12))


def test_a_network_of_one_head_and_few_classes_is_one_answer() -> None:
    heads = from_rows(answer_rows(CLASS[:, :3], None, LABELS % 3).numpy(), ("class",))
    assert heads["class"].best.shape == (40, 3)
    assert heads["class"].decisions.tolist() == CLASS[:, :3].argmax(dim=-1).tolist()


def test_classes_that_a_set_has_not_are_left_out_before_the_softmax() -> None:
    among = torch.tensor([1, 4, 5, 7, 8, 11])
    labels = among[LABELS % 6]
    heads = from_rows(answer_rows(CLASS, DISTILL, labels, among).numpy(), TWO_HEADS)
    alone = from_rows(answer_rows(CLASS[:, among], DISTILL[:, among], LABELS % 6).numpy(), TWO_HEADS)
    for name in TWO_HEADS:
        assert heads[name].best.tolist() == among[torch.from_numpy(alone[name].best)].tolist()
        np.testing.assert_array_equal(heads[name].nll, alone[name].nll)
        np.testing.assert_array_equal(heads[name].confidence, alone[name].confidence)
