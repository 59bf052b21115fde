"""Epochs on one's own images that fit own.hours, by hand: seconds per epoch in, epochs out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deit.config.adapt import adapted
from deit.config.compose import fingerprint
from deit.config.own_data import Own, OwnChoice
from deit.config.schema import Config
from deit.data.sources import DataSet, open_dataset
from deit.launch import budget
from deit.launch.budget import Limit, Speed, limited
from deit.training import teachers

SLOW = Speed(student=360, teacher=600)  # an hour has 10 epochs of the student, or 6 of the teacher
ALONE = ("own=scratch", "teacher=none", "distill=none")


@pytest.fixture(scope="module")
def dataset(config: Callable[..., Config]) -> DataSet:
    return open_dataset(config().data)


@pytest.fixture
def limit(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Limit | None]:
    monkeypatch.setattr(teachers, "FOLDER", tmp_path / "teachers")

    def of(*settings: str, speed: Speed = SLOW) -> Limit | None:
        composed = config(*settings)
        return limited(composed, adapted(composed, len(dataset.train))[0], dataset, speed)

    return of


def test_the_epochs_are_those_that_fit(limit: Callable[..., Limit | None]) -> None:
    found = limit(*ALONE)
    assert found is not None
    assert (found.epochs, found.teacher_epochs) == (10, None)
    (reason,) = found.reasons
    assert reason.startswith("45 -> 10 epochs: about 60.0 min instead of 4.5 h on this machine, own.hours=1;")
    twice = limit(*ALONE, "own.hours=2")
    assert twice is not None and twice.epochs == 20
    least = limit(*ALONE, "own.hours=0.01")
    assert least is not None and least.epochs == budget.LEAST_EPOCHS


def test_a_machine_that_is_fast_enough_changes_nothing(limit: Callable[..., Limit | None]) -> None:
    assert limit("own=scratch", speed=Speed(student=30, teacher=60)) is None


def test_half_of_the_time_is_the_teachers_at_most(limit: Callable[..., Limit | None]) -> None:
    found = limit("own=scratch")
    assert found is not None
    assert (found.epochs, found.teacher_epochs) == (5, 3)  # 12, 6 and 3 epochs: 3 x 600 s are half an hour
    assert "45 -> 5 epochs, 12 -> 3 epochs of the teacher" in found.reasons[0]


def test_a_teacher_that_was_trained_before_is_used(
    limit: Callable[..., Limit | None], config: Callable[..., Config], dataset: DataSet
) -> None:
    limit("own=scratch")
    file = teachers.fitted_file(config("own=scratch", "teacher.fit.epochs=6"), dataset)
    file.parent.mkdir(parents=True)
    file.touch()
    found = limit("own=scratch")
    assert found is not None
    assert (found.epochs, found.teacher_epochs) == (10, 6), "it costs no time"


def test_what_the_user_sets_stays(limit: Callable[..., Limit | None]) -> None:
    mine = limit("own=scratch", "optim.epochs=40", "teacher.fit.epochs=4")
    assert mine is None
    student = limit("own=scratch", "teacher.fit.epochs=4")
    assert student is not None
    assert (student.epochs, student.teacher_epochs) == (3, 4)  # 4 x 600 s leave 1,200 s, three epochs of 360 s


def test_without_a_limit_nothing_is_measured(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Speed:
        raise AssertionError("the speed was measured")

    monkeypatch.setattr(budget, "measured", refuse)
    own = Own(choice=OwnChoice.scratch, reasons=["a"])
    for settings in (("own=scratch", "own.hours=null"), ("own=scratch", "optim.adapt=false"), ("own=none",)):
        assert budget.within_hours(own, config(*settings)) is own


def test_the_measured_epochs_stand_with_the_choice(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(teachers, "FOLDER", tmp_path)
    monkeypatch.setattr(budget, "measured", lambda *_: SLOW)
    now = budget.within_hours(Own(choice=OwnChoice.scratch, reasons=["a"]), config("own=scratch"))
    assert (now.choice, now.epochs, now.teacher_epochs, now.reasons[0]) == (OwnChoice.scratch, 5, 3, "a")
    run = config("own=scratch", f"own.epochs={now.epochs}", f"own.teacher_epochs={now.teacher_epochs}")
    trained, _ = adapted(run, 1293)
    assert (trained.optim.epochs, trained.teacher.fit.epochs) == (5, 3)
    assert adapted(replace(run, own=replace(run.own, epochs=None)), 1293)[0].optim.epochs == 45
    assert adapted(config("own=scratch", "own.epochs=5", "optim.epochs=7"), 1293)[0].optim.epochs == 7


def test_another_limit_is_the_same_run_and_other_epochs_are_not(config: Callable[..., Config]) -> None:
    assert fingerprint(config("own=scratch", "own.hours=3")) == fingerprint(config("own=scratch"))
    assert fingerprint(config("own=scratch", "own.epochs=3")) != fingerprint(config("own=scratch"))
