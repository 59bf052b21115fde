"""The end of a run: accuracies beside interval and majority class, and a warning when classes are left out."""

from pathlib import Path

import numpy as np
import pytest

from deit.evaluation.baselines import wilson_interval
from deit.training import summary
from deit.training.closing import test_facts as facts_of

LABELS = np.array([0] * 12 + [1] * 11 + [2] * 10 + [3] * 10)


def shown(capsys: pytest.CaptureFixture[str], decisions: np.ndarray) -> tuple[dict[str, object], str]:
    classes = {"index": np.arange(len(LABELS)), "label": LABELS, "class": decisions, "teacher": LABELS}
    facts = facts_of(classes, "class")
    accuracy = 100 * float((decisions == LABELS).mean())
    metrics = {"test/acc1_class": accuracy, "teacher/acc1": 100.0}
    summary.show("mine [red]", metrics, facts, parameters=5, images_per_s=1, folder=Path("logs/lr=[1]"))
    return facts, capsys.readouterr().out


def test_always_the_same_class_is_warned_of_beside_its_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    facts, said = shown(capsys, np.zeros_like(LABELS))
    assert facts["majority_acc1"] == pytest.approx(100 * 12 / 43)
    assert (facts["images"], facts["classes_with_images"], facts["classes_predicted"]) == (43, 4, 1)
    low, high = wilson_interval(12, 43)
    assert facts["acc1_interval"] == {"class": [low, high], "teacher": list(wilson_interval(43, 43))}
    rows = [line.replace("│", "").split() for line in said.splitlines()]
    assert ["class", "head", "27.91", f"{low:.2f}", "to", f"{high:.2f}"] in rows
    assert ["majority", "class", "27.91"] in rows
    assert "warning: of 4 classes only 1 are ever predicted on the 43 test images" in said
    assert "mine [red]" in said and "files: logs/lr=[1]" in said, "no markup"


def test_a_network_that_tells_classes_apart_is_not_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = shown(capsys, LABELS % 2)
    assert "warning" not in said
    assert "majority class" in said
