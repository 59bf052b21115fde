"""A teacher's fit that is interrupted, wherever, ends with the weights of one that was not."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from deit.config.errors import RunError
from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.models.files import read_metadata, read_state
from deit.training import teacher_fit, teachers
from deit.training.modules import TeacherModule
from deit.training.preemption import Preempted

TYPED = (
    *("data.train_fraction=0.08", "scale.depth=1", "distill=hard", "teacher.nano_width=0.05", "data.workers=0"),
    *("teacher.fit.epochs=2", "teacher.fit.batch_size=32", "trainer.checkpoint_steps=2", "trainer.progress=false"),
)
STEPS = 3  # of an epoch


class Killed(BaseException):
    """The end of a process."""


def _fit(settings: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Obtain the teacher as a run in ``folder`` does; the file that it is kept in."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    dataset = open_dataset(settings.data)
    teachers.obtain(settings, dataset)
    return folder / teachers.fitted_file(settings, dataset)


@pytest.fixture(scope="module")
def whole(config: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A teacher that was fitted without an interruption."""
    with pytest.MonkeyPatch.context() as patch:
        yield _fit(config(*TYPED), tmp_path_factory.mktemp("whole"), patch)


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Have something happen once, in a step of the fit."""

    def plan(step: int, happen: Callable[[], None]) -> None:
        real, steps = TeacherModule.training_step, iter(range(10**6))

        def training_step(self: TeacherModule, *arguments: object) -> torch.Tensor:
            if next(steps) == step:
                happen()
            return real(self, *arguments)

        monkeypatch.setattr(TeacherModule, "training_step", training_step)

    return plan


def kill() -> None:
    raise Killed


def assert_same(one: Path, other: Path) -> None:
    first, second = read_state(one), read_state(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert read_metadata(one) == read_metadata(other)
    assert [file.name for file in one.parent.iterdir() if file.suffix != ".lock"] == [one.name], (
        "no checkpoints are left"
    )


@pytest.mark.parametrize("step", [0, 1, STEPS, 2 * STEPS - 1])
def test_a_fit_that_was_killed_resumes_to_the_bit(
    step: int,
    whole: Path,
    config: Callable[..., Config],
    during: Callable[[int, Callable[[], None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during(step, kill)
    with pytest.raises(Killed):
        _fit(config(*TYPED), tmp_path / "cut", monkeypatch)
    assert_same(_fit(config(*TYPED), tmp_path / "cut", monkeypatch), whole)


def test_a_fit_that_was_killed_before_its_file_was_written_is_not_trained_again(
    whole: Path,
    config: Callable[..., Config],
    during: Callable[[int, Callable[[], None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(teacher_fit, "save_weights", lambda *_: kill())
        _fit(config(*TYPED), tmp_path / "cut", patch)
    during(0, lambda: pytest.fail("trained again"))
    assert_same(_fit(config(*TYPED), tmp_path / "cut", monkeypatch), whole)


def test_a_signal_ends_a_fit_with_a_checkpoint_and_says_how_to_resume(
    whole: Path,
    config: Callable[..., Config],
    during: Callable[[int, Callable[[], None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    during(STEPS + 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with caplog.at_level(logging.INFO), pytest.raises(Preempted) as ended:
        _fit(config(*TYPED), tmp_path / "cut", monkeypatch)
    assert ended.value.code == 75
    assert "SIGTERM: the fit of the teacher is kept in logs/teachers/" in caplog.text
    assert "the same command resumes it" in caplog.text
    assert len(list((tmp_path / "cut/logs/teachers").glob("*.fit/last.ckpt"))) == 1
    with caplog.at_level(logging.INFO):
        assert_same(_fit(config(*TYPED), tmp_path / "cut", monkeypatch), whole)
    assert f"last.ckpt at step {STEPS + 2}" in caplog.text


@pytest.mark.parametrize("files", [["last.ckpt"], ["last.ckpt", "previous.ckpt"]])
def test_corrupt_checkpoints_of_a_fit_are_no_dead_end(
    files: list[str],
    whole: Path,
    config: Callable[..., Config],
    during: Callable[[int, Callable[[], None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during(STEPS + 1, kill)
    with pytest.raises(Killed):
        _fit(config(*TYPED), tmp_path / "cut", monkeypatch)
    for name in files:
        (file,) = (tmp_path / "cut/logs/teachers").glob(f"*.fit/{name}")
        file.write_bytes(file.read_bytes()[:1000])
    assert_same(_fit(config(*TYPED), tmp_path / "cut", monkeypatch), whole)


def test_a_teacher_that_is_there_is_used_without_a_lock(
    whole: Path, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder may only be read, or be another user's."""
    monkeypatch.setattr(teachers, "only_one", lambda *_: pytest.fail("a lock was taken"))
    before = {file.name: file.stat().st_mtime_ns for file in whole.parent.iterdir()}
    assert _fit(config(*TYPED), whole.parents[2], monkeypatch) == whole
    assert {file.name: file.stat().st_mtime_ns for file in whole.parent.iterdir()} == before


def test_a_lock_does_not_follow_a_link(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(*TYPED)
    (tmp_path / "precious").write_text("text")
    lock = tmp_path / teachers.fitted_file(settings, open_dataset(settings.data)).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    lock.symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match=r"\.lock cannot be written"):
        _fit(settings, tmp_path, monkeypatch)
    assert (tmp_path / "precious").read_text() == "text"


def test_a_fit_that_diverged_leaves_no_teacher(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(*TYPED, "teacher.fit.epochs=1", "teacher.fit.lr=1e30")
    with pytest.raises(RunError, match=r"not finite after its fit\. Pass teacher\.fit\.lr=5e\+29"):
        _fit(settings, tmp_path, monkeypatch)
    assert [file.suffix for file in (tmp_path / "logs/teachers").iterdir()] == [".lock"]
