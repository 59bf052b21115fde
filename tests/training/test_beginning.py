"""What is looked at before a teacher is fitted, which may take hours."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.training import decisions, teachers
from deit.training.run import train

TAUGHT = ("data.train_fraction=0.1", "scale.depth=2", "optim.epochs=1", "optim.warmup_epochs=0", "distill=hard")

MISTAKES = {
    ("init={file}",): "other.pth",
    ("resume={file}",): "other.pth",
    ("model=timm", "model.net=vgg11", "distill.token=false"): "vgg11 cannot see images of 28 pixels",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda words: words[-1].partition("=")[0])
def test_a_student_that_cannot_begin_is_told_before_a_teacher_is_fitted(
    mistake: tuple[str, ...], config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    typed = [*TAUGHT, *(word.format(file=tmp_path / "other.pth") for word in mistake)]
    monkeypatch.setattr(teachers, "obtain", lambda *_: pytest.fail("the teacher was fitted first"))
    with pytest.raises(ConfigError, match=MISTAKES[mistake]):
        train(config(*typed), tmp_path / "run", typed)


def test_a_teacher_exactly_at_chance_is_refused_however_it_is_rounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strategy = SimpleNamespace(reduce=lambda sums, reduce_op: sums)
    trainer, module = SimpleNamespace(strategy=strategy), SimpleNamespace(device=torch.device("cpu"))
    named = SimpleNamespace(teacher=SimpleNamespace(name="silent"))
    for total in range(2, 200):
        often = total // 2 + 1
        monkeypatch.setattr(decisions, "measured", lambda *_, often=often, total=total, limit: (100.0 * often, total))
        labels = np.array([0] * often + [1] * (total - often))
        data = SimpleNamespace(
            dataset=SimpleNamespace(val=SimpleNamespace(labels=labels)), num_classes=2, data=SimpleNamespace(name="two")
        )
        with pytest.raises(ConfigError, match="no better than chance"):
            decisions.TeacherCheck(named, data).on_train_start(trainer, module)
