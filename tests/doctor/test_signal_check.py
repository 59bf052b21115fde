"""What is said of a run that a signal ends; the run itself is in tests/cli/test_doctor.py."""

import signal
from collections.abc import Callable

import pytest

from deit.config.schema import Config
from deit.doctor.signals import Ended, answer, asked_with, going_on
from deit.doctor.verdicts import Grade


def test_a_place_is_asked_about_its_own_signal(config: Callable[..., Config]) -> None:
    assert asked_with(config()) is signal.SIGTERM
    assert asked_with(config("resources=slurm_1x8", "optim.batch_size=32")) is signal.SIGUSR2


@pytest.mark.parametrize(("status", "grade"), [(75, Grade.ok), (-15, Grade.problem), (1, Grade.problem)])
def test_a_run_must_end_as_one_that_is_to_be_started_again(status: int, grade: Grade) -> None:
    found = answer(signal.SIGTERM, Ended(status, 1.0, 17), "its last words")
    assert found.grade is grade
    assert found.advice == ("" if grade is Grade.ok else "it said last: its last words")


@pytest.mark.parametrize(
    ("said", "last", "grade"),
    [
        ("resuming from run/checkpoints/last.ckpt at step 17", 25, Grade.ok),
        ("resuming from run/checkpoints/previous.ckpt at step 9", 25, Grade.problem),
        ("resuming from run/checkpoints/last.ckpt at step 17", 17, Grade.problem),
        ("", 25, Grade.problem),
    ],
)
def test_it_must_go_on_from_where_it_was(said: str, last: int, grade: Grade) -> None:
    assert going_on(Ended(75, 1.0, 17), Ended(75, 1.0, last), said).grade is grade
