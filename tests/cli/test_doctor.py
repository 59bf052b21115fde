"""src/doctor.py as one types it: exit status, what it leaves, and everything at once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import commands
from conftest import Outcome

TINY = (
    "data.train_fraction=0.25", "scale.depth=1", "optim.epochs=2", "optim.warmup_epochs=0", "teacher.fit.epochs=4",
    "teacher.nano_width=0.1",
)  # fmt: skip


def doctor(folder: Path, *arguments: str) -> Outcome:
    return Outcome(commands.run("doctor.py", *arguments, cwd=folder, timeout=400))


def test_a_good_folder_ends_with_0_and_a_broken_one_with_1(tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / "photos" / ("day", "night")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number, number, number)).save(path)
    settings = ("what=data", "data=folder", "data.root=photos", "distill=none", "teacher=none")
    outcome = doctor(tmp_path, *settings)
    assert outcome.status == 0, outcome.said
    assert "ok           data          reading: 40 images decoded: all" in outcome.said
    (tmp_path / "photos/day/4.png").write_text("<html>404</html>")
    outcome = doctor(tmp_path, *settings)
    assert outcome.status == 1, outcome.said
    assert "problem      data          reading: 1 of 40 images cannot be read" in outcome.said
    assert "photos/day/4.png" in outcome.said
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}, "a check leaves nothing"


@pytest.mark.slow
def test_everything_is_well_after_a_run(tmp_path: Path, deit_train: Callable[..., Outcome]) -> None:
    """With a teacher that was fitted, a bank that is whole, two processes that add up, and a real run that is ended."""
    settings = (*TINY, "distill.bank=auto")
    trained = deit_train(*settings)
    assert trained.status == 0, trained.said
    outcome = doctor(tmp_path, *settings)
    assert outcome.status == 0, outcome.said
    for words in (
        "answers 10 classes",
        "648 of the 648 answers of 2 epochs",
        "100.00 % of 256 are what the teacher says now",
        "sum over devices",
        "SIGTERM ended a run with status 75",
        "going on: the same command began at step",
        "images a step take",
        "bottleneck: ",
        "an epoch, ",
    ):
        assert words in outcome.said, outcome.said
    assert "problem " not in outcome.said
