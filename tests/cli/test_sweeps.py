"""Sweeps through the command line: jobs side by side in one process, each as if it were alone."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from test_runs import TINY

from conftest import ROOT, Outcome


def jobs(sweep: Path) -> list[Path]:
    return sorted((path for path in sweep.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def test_the_users_own_line_is_a_sweep_of_one(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("model=deit_ti", "distill=hard", "teacher=regnety_160", *TINY, "-m")
    assert outcome.status == 0, outcome.said
    (sweep,) = (tmp_path / "logs/sweeps").iterdir()
    (job,) = jobs(sweep)
    assert json.loads((job / "run.json").read_text())["status"] == "done"


@pytest.mark.parametrize("place", ["first", "between", "last"])
def test_two_processes_and_a_sweep_get_along(deit_train: Callable[..., Outcome], tmp_path: Path, place: str) -> None:
    settings = [*TINY, "trainer=ddp", "trainer.devices=2", "distill=none,hard", "hydra.sweep.dir=sweep"]
    settings.insert({"first": 0, "between": 3, "last": len(settings)}[place], "-m")
    outcome = deit_train(*settings)
    assert outcome.status == 0, outcome.said
    found = jobs(tmp_path / "sweep")
    assert [job.name for job in found] == ["0", "1"]
    assert not (tmp_path / "logs/sweeps").exists(), "no process started a sweep of its own"
    assert not (tmp_path / "logs/runs").exists()
    for job, method in zip(found, ["none", "hard"], strict=True):
        assert json.loads((job / "run.json").read_text())["status"] == "done"
        assert yaml.safe_load((job / "config.yaml").read_text())["distill"]["method"] == method
    assert outcome.said.count("fitting teacher") == 1


def test_two_processes_learn_what_one_learns(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """The same global batches: the same steps, up to the rounding of a sum in two parts."""
    settings = (*TINY, "distill=none", "augment=deit", "model.drop_path=0")  # drop path draws by device
    assert deit_train(*settings, "hydra.run.dir=one").status == 0
    outcome = deit_train(*settings, "trainer=ddp", "trainer.devices=2", "hydra.run.dir=two")
    assert outcome.status == 0, outcome.said
    one, two = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=2e-3) for name in one)
    records = [json.loads((tmp_path / name / "run.json").read_text())["metrics"] for name in ("one", "two")]
    assert abs(records[0]["test/loss"] - records[1]["test/loss"]) < 0.01


def test_a_job_that_changed_since_it_was_checked_is_refused(tmp_path: Path) -> None:
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("local", "__pycache__"))
    settings = [*TINY, "distill=none", "seed=0,1", "-m", "hydra.sweep.dir=sweep"]
    command = [sys.executable, "src/train.py", *settings]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sweep:
        while not (tmp_path / "sweep/0/run.json").is_file() and sweep.poll() is None:
            time.sleep(0.01)
        with (tmp_path / "conf/model/deit_ti.yaml").open("a") as file:
            file.write("mlp_ratio: 2.0\n")
        said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 2, said
    assert "the configuration has changed since this sweep was checked" in said
    assert "-  mlp_ratio: 4.0" in said
    assert "+  mlp_ratio: 2.0" in said
    assert json.loads((tmp_path / "sweep/0/run.json").read_text())["status"] == "done"
    assert not (tmp_path / "sweep/1/run.json").exists()


@pytest.mark.slow
def test_six_jobs_share_one_teacher(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(*TINY, "model=deit_ti,deit_s", "distill=none,soft,hard", "-m", "hydra.sweep.dir=sweep")
    assert outcome.status == 0, outcome.said
    records = [json.loads((job / "run.json").read_text()) for job in jobs(tmp_path / "sweep")]
    assert [record["status"] for record in records] == ["done"] * 6
    assert outcome.said.count("fitting teacher") == 1
    assert len({record["fingerprint"] for record in records}) == 6
    assert outcome.said.count("is not used") == 1, "said once for all jobs"
    shutil.rmtree(tmp_path / "sweep/4")
    again = deit_train(*TINY, "model=deit_ti,deit_s", "distill=none,soft,hard", "-m", "hydra.sweep.dir=sweep")
    assert again.status == 0, again.said
    assert again.said.count("is done already") == 5, "a sweep that is started again does what is left"
    assert json.loads((tmp_path / "sweep/4/run.json").read_text())["status"] == "done"
