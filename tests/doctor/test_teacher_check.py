"""Teachers and banks that are there, are not, or know nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.doctor import bank, teacher
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Grade, Unmet
from deit.models.files import save_weights
from deit.training import teachers

TINY = ("scale.depth=1", "teacher.nano_width=0.05", "data.train_fraction=0.25")


@pytest.fixture
def knows_nothing(config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Settings with a teacher that names the first class whatever it sees."""
    monkeypatch.chdir(tmp_path)
    network = teachers.untrained(config(*TINY), num_classes=10)
    state = network.state_dict()
    head = [name for name, tensor in state.items() if tensor.shape[:1] == (10,)]
    for name in head:
        state[name] = torch.zeros_like(state[name])
    assert len(head) == 2
    weights = {name.removeprefix("net."): tensor for name, tensor in state.items() if name.startswith("net.")}
    save_weights(tmp_path / "teacher.safetensors", weights, {})
    return (*TINY, "teacher.checkpoint=teacher.safetensors")


def test_a_teacher_that_names_one_class_is_no_better_than_chance(
    knows_nothing: tuple[str, ...], config: Callable[..., Config]
) -> None:
    loading, accuracy = teacher.check(Subject(config(*knows_nothing)))
    assert loading.grade is Grade.ok
    assert "sees 28 pixels, answers 10 classes" in loading.found
    assert accuracy.grade is Grade.problem
    assert "no better than chance" in accuracy.found


def test_a_fifth_of_the_images_is_asked_about_where_all_would_take_long(config: Callable[..., Config]) -> None:
    dataset = Subject(config()).dataset
    assert len(dataset.val) == 145
    assert len(teacher.fewer(dataset, 29).val) == 29
    assert len(teacher.fewer(dataset, 1000).val) == 145


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (("teacher=none", "distill=none"), "teacher=none"),
        (("distill=none",), "distill=hard or distill=soft does"),
        (("teacher.source=random",), "has learnt nothing"),
        ((), "not fitted yet"),
    ],
    ids=" ".join,
)
def test_a_teacher_that_is_not_there_is_not_checked(
    settings: tuple[str, ...], why: str, config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unmet, match=why):
        list(teacher.check(Subject(config(*TINY, *settings))))
    assert not list(tmp_path.rglob("*.safetensors")), "nothing is fitted"


def test_what_could_not_be_opened_is_a_problem_once(config: Callable[..., Config], tmp_path: Path) -> None:
    subject = Subject(config("data=hf", f"data.path={tmp_path / 'nowhere'}", "teacher=none", "distill=none"))
    with pytest.raises(ConfigError):
        _ = subject.dataset
    with pytest.raises(Unmet, match="the data cannot be opened"):
        _ = subject.dataset


def test_a_bank_is_made_by_a_run_and_missed_by_a_replay(
    knows_nothing: tuple[str, ...], config: Callable[..., Config], tmp_path: Path
) -> None:
    (found,) = bank.check(Subject(config(*knows_nothing, "distill.bank=auto")))
    assert found.grade is Grade.not_checked
    with pytest.raises(ConfigError, match="there is no bank"):
        list(bank.check(Subject(config(*knows_nothing, "distill.bank=replay"))))
    assert not (tmp_path / "logs").exists(), "a check makes no bank"
