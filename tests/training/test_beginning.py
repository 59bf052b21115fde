"""What is looked at before a teacher is fitted, which may take hours: above all, what a run begins from."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from test_resume import Killed, at_call, die

from alike import same
from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.data.identity import identity_of
from deit.data.sources import open_dataset
from deit.training import beginning, checkpoints, decisions, teachers
from deit.training.modules import StudentModule
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


def test_published_weights_that_cannot_be_had_leave_no_run(
    config: Callable[..., Config], no_network: Path, tmp_path: Path
) -> None:
    typed = ["scale=paper", "init=timm:deit_tiny_patch16_224.fb_in1k", "distill=none", "teacher=none"]
    with pytest.raises(ConfigError, match=r"could not be had.*pass init=<file>"):
        train(config(*typed), tmp_path / "run", typed)
    assert not (tmp_path / "run").exists()
    typed = ["scale=paper", "distill=hard", "teacher.source=finetune", "resolution=224"]
    with pytest.raises(ConfigError, match=r"regnety_160\S* could not be had"):
        train(config(*typed), tmp_path / "run", typed)
    assert not (tmp_path / "run").exists()


def test_a_teacher_exactly_at_chance_is_refused_however_it_is_rounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strategy = SimpleNamespace(reduce=lambda sums, reduce_op: sums)
    trainer, module = SimpleNamespace(strategy=strategy), SimpleNamespace(device=torch.device("cpu"))
    named = SimpleNamespace(teacher=SimpleNamespace(name="silent", label="silent"))
    for total in range(2, 200):
        often = total // 2 + 1
        monkeypatch.setattr(decisions, "measured", lambda *_, often=often, total=total, limit: (100.0 * often, total))
        labels = np.array([0] * often + [1] * (total - often))
        data = SimpleNamespace(
            dataset=SimpleNamespace(val=SimpleNamespace(labels=labels)),
            num_classes=2,
            data=SimpleNamespace(name="two"),
        )
        with pytest.raises(ConfigError, match="no better than chance"):
            decisions.TeacherCheck(named, data).on_train_start(trainer, module)


SHORT = (
    "data.train_fraction=0.05", "scale.depth=1", "distill=none", "teacher=none", "optim.batch_size=12",
    "optim.warmup_epochs=0", "optim.adapt=false", "data.workers=0",
)  # fmt: skip
EVERY_STEP = "trainer.checkpoint_steps=1"


@pytest.fixture(scope="module")
def start(config: Callable[..., Config]) -> Callable[..., float]:
    return lambda folder, *settings: train(config(*SHORT, *settings), folder, list(settings))


@pytest.fixture(scope="module")
def done(start: Callable[..., float], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs; its best epoch is the last, whatever it learns."""
    folder = tmp_path_factory.mktemp("done")
    accuracy = start(folder, "optim.epochs=2")
    assert accuracy == json.loads((folder / "run.json").read_text())["metrics"]["val/acc1"]
    assert accuracy == start(folder, "optim.epochs=2"), "the same where nothing is left to do"
    return folder


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            ("optim.epochs=2",),
            [r"got one at the end of its 2 epochs", r"optim\.epochs=<more than 2>", r"init=.*best\.ckpt"],
        ),
        (("optim.epochs=1",), [r"optim\.epochs: 2 -> 1"]),
        (("optim.epochs=9", "model=deit_s"), [r"model\.name: deit_ti -> deit_s"]),
        (
            ("optim.epochs=9", "optim.batch_size=8", "optim=sgd", "augment=deit"),
            [r"optim\.batch_size: 12 -> 8", r"optim\.kind: adamw -> sgd", r"augment\.name: light -> deit"],
        ),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_with_all_that_differs_and_nothing_is_written(
    settings: tuple[str, ...], named: list[str], done: Path, start: Callable[..., float], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        start(tmp_path / "run", *settings, f"resume={done}/checkpoints/last.ckpt")
    for pattern in named:
        assert re.search(pattern, str(refused.value))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_other_classes_is_refused(done: Path, config: Callable[..., Config]) -> None:
    settings = config(*SHORT, "optim.epochs=9")
    dataset = open_dataset(settings.data)
    other = dataclasses.replace(dataset, classes=tuple("abcdefghij"))
    content = checkpoints.read_resumable(done / "checkpoints/last.ckpt")
    with pytest.raises(ConfigError, match=r"10 classes added: a, b, c, d, e and 5 more"):
        beginning.refuse_difference(
            done / "checkpoints/last.ckpt", content, settings, other, identity_of(other), settings
        )


def test_a_finished_run_is_trained_for_more_epochs_and_its_best_epoch_comes_along(
    done: Path, start: Callable[..., float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(done, tmp_path / "source")
    evaluate = StudentModule.evaluate
    worse = lambda *given: {name: torch.zeros_like(value) for name, value in evaluate(*given).items()}  # noqa: E731
    monkeypatch.setattr(StudentModule, "evaluate", worse)
    best = torch.load(source / "checkpoints/best.ckpt", weights_only=True)
    settings = ("optim.epochs=3", "teacher=resnet50", f"resume={source}/checkpoints/last.ckpt")  # which nothing uses
    accuracy = start(tmp_path / "more", *settings)
    assert accuracy == start(done, "optim.epochs=2") > 0
    kept = torch.load(tmp_path / "more/checkpoints/best.ckpt", weights_only=True)
    assert same(best["state_dict"], kept["state_dict"])
    rows = (tmp_path / "more/metrics.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in rows[1:4]] == ["0", "1", "2"]
    (source / "checkpoints/best.ckpt").unlink()
    content = checkpoints.read_resumable(tmp_path / "more/checkpoints/last.ckpt")
    (tmp_path / "more/checkpoints/best.ckpt").unlink()
    with pytest.raises(ConfigError, match=r"must hold the best epoch of .*val/acc1"):
        beginning._best_beside(tmp_path / "more/checkpoints/last.ckpt", content)


def cut(folder: Path, start: Callable[..., float], step: int, *settings: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentModule, "training_step", at_call(step, die)(StudentModule.training_step))
        with pytest.raises(Killed):
            start(folder, *settings)


def step_of(folder: Path) -> int:
    return checkpoints.step_of(folder / "checkpoints/last.ckpt")


def test_what_was_typed_to_begin_elsewhere_is_repeated_at_a_requeue_and_resumes_its_own(
    done: Path, start: Callable[..., float], tmp_path: Path
) -> None:
    settings = ("optim.epochs=9", EVERY_STEP, f"resume={done}/checkpoints/last.ckpt")
    for expected in (14, 16):  # 12 steps are done, and two more each time
        cut(tmp_path, start, 3, *settings)
        assert step_of(tmp_path) == expected
    with pytest.raises(ConfigError, match=r"must be where the run in .* began, which was from .*last.ckpt"):
        start(tmp_path, *settings[:2], f"resume={done}/checkpoints/best.ckpt")


def test_resume_never_is_obeyed_once_by_a_job_and_each_time_that_a_person_types_it(
    start: Callable[..., float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = ("optim.epochs=2", EVERY_STEP, "resume=never")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    cut(tmp_path, start, 3, *never)
    assert step_of(tmp_path) == 2
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    cut(tmp_path, start, 3, *never)
    assert step_of(tmp_path) == 4, "a requeued job resumes"
    cut(tmp_path, start, 1, *never)
    assert not (tmp_path / "checkpoints/last.ckpt").exists(), "typed again within the same job, it begins anew"
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    cut(tmp_path, start, 2, *never)
    assert step_of(tmp_path) == 1


def test_the_configuration_on_disk_is_the_one_that_was_trained(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StudentModule, "training_step", at_call(1, die)(StudentModule.training_step))
    typed = [
        "scale.batch_size=256",
        "data.train_fraction=0.05",
        "distill=none",
        "teacher=none",
        "optim.epochs=5",
        "data.workers=0",
    ]
    with pytest.raises(Killed):
        train(config(*typed), tmp_path, typed)
    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())
    record = json.loads((tmp_path / "run.json").read_text())
    assert (kept["optim"]["batch_size"], kept["optim"]["warmup_epochs"]) == (64, 1)
    assert config(*typed).optim.batch_size == 256
    assert record["overrides"] == typed
    assert record["adapted"][0].startswith("batch ")
