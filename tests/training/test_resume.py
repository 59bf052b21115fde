"""A run that was cut off anywhere ends as one that was not, to the bit: weights, optimiser, schedule, rows."""

import csv
import functools
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from alike import same
from deit.config.errors import ConfigError, RunError
from deit.config.execution import Trainer as TrainerSettings
from deit.config.schema import Config
from deit.models.description import DESCRIPTION
from deit.training import checkpoints
from deit.training.checkpoints import CheckpointFiles, LastCheckpoint
from deit.training.modules import StudentModule
from deit.training.preemption import Preempted, Signals
from deit.training.run import train
from small_disk import SmallDisk

# 66 images: six steps an epoch, the last of them smaller; of three accumulated batches each, it has two.
TINY = (
    "data.train_fraction=0.05", "scale.depth=1", "distill=none", "augment=deit", "optim.batch_size=12",
    "optim.epochs=3", "optim.warmup_epochs=0", "optim.adapt=false", "data.workers=0",
)  # fmt: skip
ONE_BY_ONE = ("trainer.checkpoint_steps=1",)
ACCUMULATED = ("trainer.accumulate=3", "optim.ema=0.9", "trainer.checkpoint_steps=2")
EVERY_EPOCH = ("trainer.accumulate=3",)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that the run could still do saves anything."""


Run = Callable[..., Path]


@pytest.fixture
def run(config: Callable[..., Config], tmp_path: Path) -> Run:
    def run(name: str, *settings: str, resume: str = "auto") -> Path:
        train(config(*TINY, *settings, f"resume={resume}"), tmp_path / name, list(settings))
        return tmp_path / name

    return run


@pytest.fixture(scope="module")
def whole(config: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a run that was not cut off."""

    @functools.cache
    def whole(*settings: str) -> Path:
        folder = tmp_path_factory.mktemp("whole")
        train(config(*TINY, *settings), folder, list(settings))
        return folder

    return whole


def state(folder: Path) -> tuple[dict, list[dict[str, str]]]:
    """What two runs must have in common: all of the last checkpoint, and the rows without the speed."""
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    for key in ("callbacks", checkpoints.PROGRESS, DESCRIPTION):  # paths, times, and how it was asked for
        del last[key]
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return last, [{name: value for name, value in row.items() if name != "train/images_per_s"} for row in rows]


def at_call(number: int, before: Callable) -> Callable[[Callable], Callable]:
    """Make a method do ``before`` at its call of this number."""

    def changed(method: Callable) -> Callable:
        count = iter(range(1, 10**6))

        def wrapped(*args: object, **kwargs: object) -> object:
            if next(count) == number:
                before()
            return method(*args, **kwargs)

        return wrapped

    return changed


def die() -> None:
    raise Killed


PLACES = {
    "in a step": (StudentModule, "training_step", 7),
    "in the first step": (StudentModule, "training_step", 1),
    "after the first step": (StudentModule, "on_train_batch_end", 1),
    "before a step": (StudentModule, "on_train_batch_start", 8),
    "in validation": (StudentModule, "validation_step", 14),
    "in the last epoch": (StudentModule, "training_step", 17),
    "after an epoch's rows": (LastCheckpoint, "on_train_epoch_end", 2),
    "at the end of training": (StudentModule, "on_train_end", 1),
    "in the test": (StudentModule, "test_step", 3),
}


@pytest.mark.parametrize("settings", [ONE_BY_ONE, ACCUMULATED, EVERY_EPOCH], ids=["one", "accumulated", "epochs"])
@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_it_ends_the_same(
    place: str, settings: tuple[str, ...], run: Run, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, call = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, at_call(call, die)(getattr(owner, name)))
        with pytest.raises(Killed):
            run("cut", *settings)
    assert same(state(run("cut", *settings)), state(whole(*settings)))


def test_killed_between_two_names_of_a_checkpoint_it_ends_the_same(
    run: Run, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rename = Path.replace

    def replace(file: Path, target: Path) -> Path:
        if (file.name, target.name) == ("next.ckpt", "last.ckpt") and (file.parent / "previous.ckpt").is_file():
            raise Killed
        return rename(file, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            run("cut", *ONE_BY_ONE)
    assert not (tmp_path / "cut/checkpoints/last.ckpt").exists()
    assert same(state(run("cut", *ONE_BY_ONE)), state(whole(*ONE_BY_ONE)))


def test_killed_with_data_workers_at_work_it_ends_the_same(
    run: Run, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*ACCUMULATED, "data.workers=2")
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(9, die)(StudentModule.training_step))
        with pytest.raises(Killed):
            run("cut", *settings)
    assert same(state(run("cut", *settings)), state(whole(*ACCUMULATED)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_is_answered_with_a_checkpoint_before_the_next_optimiser_step(
    number: signal.Signals, run: Run, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        # The 7th batch is the first of three that make a step.
        ring = at_call(7, lambda: os.kill(os.getpid(), number))
        patch.setattr(StudentModule, "training_step", ring(StudentModule.training_step))
        with pytest.raises(Preempted) as stopped:
            run("cut", *ACCUMULATED)
    assert (stopped.value.code, str(stopped.value)) == (130 if number == signal.SIGINT else 75, number.name)
    assert '"status": "preempted"' in (tmp_path / "cut/run.json").read_text()
    last = torch.load(tmp_path / "cut/checkpoints/last.ckpt", weights_only=True)
    progress = last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    assert (last["global_step"], progress["completed"], progress["ready"]) == (3, 9, 9)
    assert same(state(run("cut", *ACCUMULATED)), state(whole(*ACCUMULATED)))


def test_a_signal_during_the_last_step_or_the_test_keeps_the_training(
    run: Run, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    for method, call in (("on_train_epoch_end", 3), ("test_step", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(StudentModule, method, at_call(call, terminate)(getattr(StudentModule, method)))
            with pytest.raises(Preempted):
                run("cut", *EVERY_EPOCH)
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(1, die)(StudentModule.training_step))
        folder = run("cut", *EVERY_EPOCH)  # no step is taken again
    assert same(state(folder), state(whole(*EVERY_EPOCH)))


def test_signals_are_answered_as_before_once_a_run_is_over(run: Run) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    run("out", "optim.epochs=1")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == before


@pytest.fixture
def cut(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The checkpoints of a run that was killed in its second epoch: one is of step 6, the one before it of step 5."""
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(7, die)(StudentModule.training_step))
        with pytest.raises(Killed):
            run("cut", *ONE_BY_ONE)
    yield tmp_path / "cut/checkpoints"


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "cut short":
        del content[len(content) // 2 :]
    elif how == "emptied":
        content.clear()
    else:
        content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["cut short", "emptied", "one bit flipped"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_taken(
    how: str, cut: Path, run: Run, whole: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    damage(cut / "last.ckpt", how)
    with caplog.at_level("INFO", logger="deit"):
        folder = run("cut", *ONE_BY_ONE)
    assert f"{cut / 'last.ckpt'} is damaged" in caplog.text
    assert f"resuming from {cut / 'previous.ckpt'} at step 5" in caplog.text
    assert same(state(folder), state(whole(*ONE_BY_ONE)))


def test_where_all_are_damaged_nothing_begins_in_silence(cut: Path, run: Run, whole: Callable[..., Path]) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        damage(cut / name, "cut short")
    with pytest.raises(ConfigError, match=r"last.ckpt and .*previous.ckpt damaged.*resume=never"):
        run("cut", *ONE_BY_ONE)
    assert same(state(run("cut", *ONE_BY_ONE, resume="never")), state(whole(*ONE_BY_ONE)))


def test_resume_never_forgets_what_was_there(cut: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(1, die)(StudentModule.training_step))
        with pytest.raises(Killed):
            run("cut", *ONE_BY_ONE, resume="never")
    assert not (cut / "last.ckpt").exists()


def test_weights_alone_and_files_of_other_kinds_are_not_resumed_from(run: Run, tmp_path: Path) -> None:
    torch.save({"model": {"head.weight": torch.zeros(1)}}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"no checkpoint that a run can go on from.*init="):
        run("out", resume=f"{tmp_path}/weights.pth")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(ConfigError, match=r"text.ckpt"):
        run("other", resume=f"{tmp_path}/text.ckpt")


def test_a_full_disk_leaves_the_old_checkpoint_and_with_room_again_it_goes_on(
    small_disk: Callable[[int], SmallDisk], run: Run, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(8192)
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(7, die)(StudentModule.training_step))
        with pytest.raises(Killed):
            run("disk/cut", *ONE_BY_ONE)
    folder = disk.folder / "cut/checkpoints"
    before = (folder / "last.ckpt").read_bytes()
    disk.fill(left=100_000)  # run.json and metrics.csv fit into that
    with pytest.raises(
        RunError, match=r"next.ckpt cannot be written .No space left on device.*written before are whole"
    ):
        run("disk/cut", *ONE_BY_ONE)
    assert (folder / "last.ckpt").read_bytes() == before
    assert {path.name for path in folder.iterdir()} <= {"best.ckpt", "last.ckpt", "previous.ckpt"}
    disk.make_room()
    assert same(state(run("disk/cut", *ONE_BY_ONE)), state(whole(*ONE_BY_ONE)))


def test_a_checkpoint_is_due_after_some_minutes_even_inside_an_epoch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    save = LastCheckpoint._save
    monkeypatch.setattr(
        LastCheckpoint, "_save", lambda self, trainer: (steps.append(trainer.global_step), save(self, trainer))
    )
    run("hours", "trainer.checkpoint_minutes=60", "optim.epochs=2")
    assert steps == [6, 12], "when the second epoch begins, and at the end"
    steps.clear()
    run("moments", "trainer.checkpoint_minutes=1e-9", "optim.epochs=2")
    assert steps == list(range(1, 13))


def test_times_and_counts_go_on(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(7, die)(StudentModule.training_step))
        with pytest.raises(Killed):
            run("cut", *ONE_BY_ONE)
    seen: list[tuple[int, float]] = []

    def note(self: StudentModule, trainer: Trainer | None = None, module: LightningModule | None = None) -> None:
        seen.append((self._images, self._seconds))

    monkeypatch.setattr(StudentModule, "on_train_end", note)
    saved = torch.load(tmp_path / "cut/checkpoints/last.ckpt", weights_only=True)
    fitted = next(part["fit_seconds"] for part in saved["callbacks"].values() if "fit_seconds" in part)
    folder = run("cut", *ONE_BY_ONE)
    ((images, seconds),) = seen
    assert images == 3 * 66, "of all three epochs"
    assert seconds > 0
    assert json.loads((folder / "run.json").read_text())["timing"]["fit_s"] > fitted > 0


def test_validation_batches_are_counted_once_whatever_lightning_has_counted(
    whole: Callable[..., Path], tmp_path: Path
) -> None:
    content = torch.load(whole(*EVERY_EPOCH) / "checkpoints/last.ckpt", weights_only=True)
    validation = content["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
    count = validation["current"]["completed"]
    validation["total"] = dict.fromkeys(validation["total"], 2 * count)
    last = LastCheckpoint(tmp_path, TrainerSettings(), Signals())
    last.on_save_checkpoint(None, None, content)  # pyright: ignore[reportArgumentType] - neither is used
    assert count > 0
    assert validation["total"] == dict.fromkeys(("ready", "started", "processed", "completed"), count)


def test_a_file_is_whole_or_not(tmp_path: Path) -> None:
    file = tmp_path / "some.ckpt"
    CheckpointFiles().save_checkpoint({"state_dict": {"w": torch.arange(1000)}, "global_step": 1}, file)
    assert checkpoints.is_whole(file)
    original = file.read_bytes()
    data = original.index(torch.arange(1000).numpy().tobytes())
    for position in (data, data + 4000, data + 7999):
        changed = bytearray(original)
        changed[position] ^= 16
        file.write_bytes(changed)
        assert not checkpoints.is_whole(file)
    file.write_bytes(original[:-1])
    assert not checkpoints.is_whole(file)
    file.write_bytes(original)
    assert checkpoints.is_whole(file)
