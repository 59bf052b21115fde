"""What a user can type wrong: one message, exit status 2, no traceback, no folder left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Outcome

MISTAKES = [
    (["model=deit_xl"], ["model=deit_xl is unknown", "deit_b, deit_s, deit_ti"]),
    (["modle=deit_s"], ["modle is no key", "did you mean model=…?"]),
    (["model.hedas=3"], ["did you mean model.heads=…?"]),
    (["optim.lr=fast"], ["optim.lr=fast is of the wrong type; it must be a number"]),
    (["distill=hard", "teacher=none"], ["distill.method=hard needs a teacher", "pass teacher=regnety_160"]),
    (["data=cifar100", "scale=paper"], ["predicts 1000 classes, data=cifar100 has 100"]),
    (["data=flowers102", "distill=none"], ["needs the folder flowers-102/", "data.download=true"]),
    (["resolution.pixels=30"], ["30 pixels does not divide into patches of 4"]),
    (["model.heads=5", "model.embed_dim=48"], ["model.embed_dim=48 does not divide by model.heads=5"]),
    (["trainer=ddp", "trainer.devices=3"], ["optim.batch_size=", "pairs over 3 devices"]),
    (["data=folder", "data.root=nowhere"], ["data.root=nowhere does not exist"]),
    (["optim.epochs=3", "optim.warmup_epochs=3"], ["optim.warmup_epochs=3 is not shorter than optim.epochs=3"]),
    (["distill.alpha=1.5"], ["distill.alpha=1.5 is out of range; possible: [0, 1]"]),
    (["distill.tau=-1"], ["distill.tau=-1 is out of range"]),
    (["resolution=225"], ["resolution=225 is unknown", "160, 224, 320, 384, own"]),
    (["optim.lr"], ["overrides look like key=value"]),
    (["--nonsense"], ["unrecognized arguments: --nonsense"]),
]


@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize(("typed", "words"), MISTAKES, ids=[" ".join(typed) for typed, _ in MISTAKES])
def test_a_mistake_is_told_and_leaves_nothing(
    deit_train: Callable[..., Outcome], tmp_path: Path, typed: list[str], words: list[str], multirun: list[str]
) -> None:
    outcome = deit_train(*typed, *multirun)
    assert outcome.status == 2, outcome.said
    assert all(word in outcome.said for word in words), outcome.said
    assert "Traceback" not in outcome.said
    assert list(tmp_path.iterdir()) == []


def test_all_problems_of_all_jobs_are_told_before_anything_starts(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = deit_train("distill=none,soft,hard", "teacher=none,regnety_160", "distill.alpha=0.5,2", "-m")
    assert outcome.status == 2
    assert "8 of 12 jobs are invalid; nothing was started:" in outcome.said
    assert outcome.said.count("needs a teacher") == 4
    assert outcome.said.count("distill.alpha=2 is out of range") == 6
    assert "#5 distill=soft teacher=none distill.alpha=2" in outcome.said
    assert list(tmp_path.iterdir()) == []


def test_several_problems_of_one_run_are_numbered(deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train("distill.alpha=2", "optim.epochs=0", "teacher=none")
    assert outcome.status == 2
    assert "problems:" in outcome.said
    assert all(f"  {number}. " in outcome.said for number in (1, 2, 3))


def test_an_empty_class_folder_is_named(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    outcome = deit_train("data=folder", "data.root=photos")
    assert outcome.status == 2
    assert "class folders without an image: cat, dog" in outcome.said
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_fault_in_a_checkpoint_is_told_as_one(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "teacher.pth").write_bytes(b"no checkpoint at all")
    outcome = deit_train("teacher.checkpoint=teacher.pth")
    assert outcome.status == 2
    assert "teacher.pth" in outcome.said
    assert "Traceback" not in outcome.said
