"""What is looked at before a teacher is fitted, which may take hours."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.training import teachers
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
