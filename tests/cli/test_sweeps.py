"""Sweeps through the command line: jobs side by side in one process, each as if it were alone."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import DictConfig
from test_runs import TINY

import commands
from conftest import ROOT, Outcome
from deit.config.ledger import freeze
from deit.config.preflight import as_yaml
from deit.config.sealed import parse_record, record_text


def jobs(sweep: Path) -> list[Path]:
    return sorted((path for path in sweep.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def test_the_users_own_line_is_a_sweep_of_one(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("model=deit_ti", "distill=hard", "teacher=regnety_160", *TINY, "-m")
    assert outcome.status == 0, outcome.said
    (sweep,) = (tmp_path / "logs/sweeps").iterdir()
    (job,) = jobs(sweep)
    assert json.loads((job / "run.json").read_text())["status"] == "done"


@pytest.mark.slow
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


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """The same global batches: the same steps, up to the rounding of a sum in two parts."""
    settings = (*TINY, "distill=none", "augment=deit", "model.drop_path=0.3")
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
    predictions = [dict(np.load(tmp_path / name / "predictions.npz")) for name in ("one", "two")]
    assert all(np.array_equal(predictions[0][name], predictions[1][name]) for name in ("index", "label"))
    assert np.mean(predictions[0]["class"] == predictions[1]["class"]) > 0.95
    accuracy = 100 * np.mean(predictions[1]["class"] == predictions[1]["label"])
    assert accuracy == pytest.approx(records[1]["test/acc1"], abs=1e-3)


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
    assert sweep.returncode == 1, said
    assert "the configuration has changed since this sweep was checked" in said
    assert "model.mlp_ratio: 4.0 -> 2.0" in said
    assert "sweep: 1 done, 1 failed" in said
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


SEEDS = (*TINY, "distill=none", "optim.epochs=4", "-m", "hydra.sweep.dir=sweep")


def statuses(sweep: Path) -> list[str]:
    return [json.loads((job / "run.json").read_text())["status"] for job in jobs(sweep)]


def stop_once(tmp_path: Path, settings: Sequence[str], begun: int, signum: signal.Signals) -> tuple[int, str]:
    """Start a sweep and send it a signal once so many jobs have a checkpoint; its exit status and what it said."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with commands.start("train.py", *settings, cwd=tmp_path, start_new_session=True, **pipes) as sweep:
        while len(list(tmp_path.glob("sweep/*/checkpoints/last.ckpt"))) < begun and sweep.poll() is None:
            time.sleep(0.01)
        sweep.send_signal(signum)
        said, _ = sweep.communicate(timeout=120)
    return sweep.returncode, said


@pytest.mark.slow
def test_a_sweep_that_is_started_again_does_what_is_left(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    stop_once(tmp_path, [*SEEDS, "seed=0,1,2,3"], 4, signal.SIGKILL)
    sweep = tmp_path / "sweep"
    assert statuses(sweep) == ["done", "done", "done", "running"]
    shutil.rmtree(sweep / "1")
    file = sweep / "2/run.json"
    failed = parse_record(file.read_text(), file) | {"status": "failed", "error": "RuntimeError: no luck"}
    file.write_text(record_text(failed))
    before = (sweep / "0/run.json").stat().st_mtime_ns
    again = deit_train(*SEEDS, "seed=0,1,2,3", "logger=[csv,tensorboard]")
    assert again.status == 0, again.said
    assert "sweep: 4 jobs: 1 done, 1 to resume, 1 to retry, 1 to start" in again.said
    assert "sweep/3/checkpoints/last.ckpt" in again.said.replace("\n", "")
    assert (sweep / "0/run.json").stat().st_mtime_ns == before, "no finished job runs twice"
    assert statuses(sweep) == ["done"] * 4
    assert "sweep: 4 done" in again.said


def test_another_grid_is_refused_with_the_difference(
    deit_train: Callable[..., Outcome], raw_config: Callable[..., DictConfig], tmp_path: Path
) -> None:
    freeze(tmp_path / "sweep", [as_yaml(raw_config("distill=none", f"seed={seed}")) for seed in range(2)])
    outcome = deit_train("distill=none", "seed=0,2", "-m", "hydra.sweep.dir=sweep")
    assert outcome.status == 2
    assert "sweep was started with another grid; 1 of its 2 jobs changed, nothing was started:" in outcome.said
    assert "#1 seed: 1 -> 2" in outcome.said
    assert jobs(tmp_path / "sweep") == []


@pytest.mark.parametrize(
    "place", ["local", *(pytest.param(one, marks=pytest.mark.slow) for one in ("local_parallel", "submitit_local"))]
)
def test_a_failed_job_does_not_stop_the_others(deit_train: Callable[..., Outcome], tmp_path: Path, place: str) -> None:
    (tmp_path / "broken.ckpt").write_bytes(b"no weights")
    settings = (*TINY, "distill=none", "init=null,broken.ckpt", "seed=0,1", f"resources={place}")
    outcome = deit_train(*settings, "-m", "hydra.sweep.dir=sweep")
    assert outcome.status == 1, outcome.said
    assert statuses(tmp_path / "sweep") == ["done", "done", "failed", "failed"]
    table = outcome.said[outcome.said.index("sweep: 2 done, 2 failed") :]
    for words in ("init=broken.ckpt seed=1", "failed", "test/acc1", "why", "hydra.sweep.dir=sweep"):
        assert words in table
    assert "Error executing job" not in outcome.said
    assert "hydra/" not in outcome.said, "no traceback of Hydra's"


@pytest.mark.parametrize(
    ("place", "signum", "expected"),
    [
        ("local", signal.SIGINT, 130),
        pytest.param("local_parallel", signal.SIGTERM, 75, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_sweep_says_what_is_left(
    tmp_path: Path, place: str, signum: signal.Signals, expected: int
) -> None:
    sweep = tmp_path / "sweep"  # in full, so that every process of it can be told by its command line
    settings = [
        *TINY,
        "distill=none",
        "optim.epochs=200",
        "seed=0,1,2",
        f"resources={place}",
        f"hydra.sweep.dir={sweep}",
    ]
    at_once = 1 if place == "local" else 2
    settings += ["-m", f"resources.jobs={at_once}"]
    status, said = stop_once(tmp_path, settings, at_once, signum)
    assert status == expected, said
    assert f"{3 - at_once} not started" in said
    assert statuses(sweep) == ["preempted"] * at_once
    assert f"to do what is left: the same command with hydra.sweep.dir={sweep}" in said.replace("\n", "")
    left = subprocess.run(["pgrep", "-f", f"train.py.*{sweep}"], capture_output=True, text=True, check=False).stdout
    assert not left, "no process is left"


@pytest.mark.slow
def test_jobs_side_by_side_learn_what_jobs_in_a_row_learn(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    settings = (*TINY, "model=deit_ti", "seed=0,1,2", "-m")
    row = deit_train(*settings, "hydra.sweep.dir=row")
    assert row.status == 0, row.said
    shutil.rmtree(tmp_path / "logs/teachers")
    beside = deit_train(*settings, "resources=local_parallel", "resources.jobs=2", "hydra.sweep.dir=beside")
    assert beside.status == 0, beside.said
    assert [f"#{number} starts: seed={number}" in beside.said for number in range(3)] == [True] * 3
    logs = [(tmp_path / f"beside/{number}/train.log").read_text() for number in range(3)]
    assert sum("fitting teacher" in text for text in logs) == 1
    for number in range(3):
        one, other = (
            torch.load(tmp_path / f"{sweep}/{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
            for sweep in ("row", "beside")
        )
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_a_mode_in_a_file_starts_no_sweep_in_a_job(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "theirs/experiment").mkdir(parents=True)
    (tmp_path / "theirs/experiment/swept.yaml").write_text("# @package _global_\nhydra:\n  mode: MULTIRUN\n")
    settings = ["--config-dir=theirs", "experiment=swept", *TINY, "distill=none", "seed=0,1", "hydra.sweep.dir=sweep"]
    outcome = deit_train(*settings, "resources=local_parallel", "resources.jobs=2")
    assert outcome.status == 0, outcome.said
    assert [job.name for job in jobs(tmp_path / "sweep")] == ["0", "1"]
    assert not (tmp_path / "logs/sweeps").exists()
