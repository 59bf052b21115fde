"""What commit 4331259 left (two runs of the digits, a teacher, a bank, a pack, a sweep) is still read.

Made there with ``MADE`` and, for the sweep, ``SWEPT``; the run ``cut`` was ended by SIGTERM in its first epoch. Without
stochastic depth, whose masks have changed since.
"""

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import commands
from conftest import Outcome
from deit.report.contents import gather

ARCHIVE = Path(__file__).with_name("commit_4331259.zip")
MADE = (
    "data.train_fraction=0.1", "data.val_fraction=0.05", "data.test_fraction=0.05", "scale.depth=1",
    "scale.head_dim=8", "optim.warmup_epochs=0", "model.drop_path=0", "teacher.fit.epochs=8", "teacher=resnet50",
    "teacher.nano_width=0.02", "distill.bank=auto", "trainer.threads=1", "data.workers=0", "optim.epochs=3",
)  # fmt: skip
PACKED = (
    "scale.depth=1", "scale.head_dim=8", "optim.warmup_epochs=0", "optim.epochs=1", "distill=none", "teacher=none",
    "own=none", "data=folder", "data.root=photos", "data.pack=32", "data.pack_path=pack", "data.workers=0",
    "trainer.threads=1", "model.drop_path=0",
)  # fmt: skip
SWEPT = (*PACKED, "seed=0,1", "-m", "hydra.sweep.dir=sweep")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def record(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def epochs(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [{name: value for name, value in row.items() if name != "train/images_per_s"} for row in rows]


def test_an_evaluation_finds_what_the_run_had_found(old: Path) -> None:
    done = commands.run("evaluate.py", "checkpoint=done", "output=found", cwd=old)
    assert done.returncode == 0, done.stderr
    heads = json.loads((old / "found/evaluation.json").read_text())["sets"][0]["networks"][0]["heads"]
    metrics = record(old / "done")["metrics"]
    for head in ("class", "distill", "fused"):
        assert heads[head]["acc1"] == pytest.approx(metrics[f"test/acc1_{head}"], abs=1e-4)


def test_a_report_reads_its_runs_and_its_sweep(old: Path) -> None:
    contents = gather([old])
    found = {run.path.relative_to(old).as_posix(): run.status for run in contents.runs}
    assert found == {"done": "done", "cut": "preempted", "sweep/0": "done", "sweep/1": "done"}
    assert contents.damaged == []


def test_a_run_that_was_interrupted_ends_as_the_one_that_was_not(old: Path, deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train(*MADE, "hydra.run.dir=cut")
    assert outcome.status == 0, outcome.said
    assert "resuming from cut/checkpoints/last.ckpt" in outcome.said.replace(f"{old}/", "")
    assert "fitting teacher" not in outcome.said
    assert " replayed, 0 recorded" in outcome.said
    assert record(old / "cut")["status"] == "done"
    for cut, whole in zip(epochs(old / "cut"), epochs(old / "done"), strict=True):
        assert cut == pytest.approx(whole, rel=1e-3)


def test_a_finished_run_is_recognised_by_the_same_command(old: Path, deit_train: Callable[..., Outcome]) -> None:
    again = deit_train(*MADE, "hydra.run.dir=done")
    assert (again.status, "resume=never" in again.said) == (0, True), again.said


def test_a_finished_sweep_is_recognised_by_the_same_command(old: Path, deit_train: Callable[..., Outcome]) -> None:
    again = deit_train(*SWEPT)
    assert again.status == 0, again.said
    assert "2 done" in again.said


def test_its_pack_is_read_again(old: Path, deit_train: Callable[..., Outcome]) -> None:
    before = (old / "pack/pixels.u8").read_bytes()
    outcome = deit_train(*PACKED, "seed=2", "hydra.run.dir=new")
    assert outcome.status == 0, outcome.said
    assert "pack was packed without checksums" in outcome.said
    assert (old / "pack/pixels.u8").read_bytes() == before
