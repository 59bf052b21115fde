"""Processes of a run that other programs start, and what is refused before they do."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_runs import TINY

from conftest import ROOT, Outcome
from thread_counts import ThreadCounts

STARTED_BY_TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
OF_THE_PAGE = re.findall(r"^torchrun .*$", (ROOT / "docs/sweeps.md").read_text(), re.M)
TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


def test_processes_that_do_not_agree_on_a_folder_are_refused(deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train(*TWO, **STARTED_BY_TORCHRUN)
    assert outcome.status == 2
    assert "must agree on a folder" in outcome.said
    assert "pass hydra.run.dir=logs/runs/<name>" in outcome.said


def test_more_processes_than_devices_are_refused(deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train("hydra.run.dir=out", **STARTED_BY_TORCHRUN)
    assert outcome.status == 2
    assert "torchrun started 2 processes" in outcome.said
    assert "pass trainer=ddp trainer.devices=2" in outcome.said


def test_a_sweep_started_many_times_over_is_refused(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train("seed=0,1", "-m", **STARTED_BY_TORCHRUN)
    assert outcome.status == 2
    assert "each of the 2 processes that torchrun started would start the whole sweep" in outcome.said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["resources=slurm_1x8"], ["submits the jobs of a sweep", "pass -m, or resources=local"]),
        (["resources=slurm_1x8", "-m"], ["needs SLURM's sbatch", "pass resources=local"]),
        (["hydra/launcher=submitit_local", "-m"], ["does not go with resources=local", "slurm_1x8"]),
        (["resources=local,local_parallel", "-m"], ["resources cannot vary within a sweep"]),
    ],
)
def test_what_cannot_be_submitted_is_refused(
    deit_train: Callable[..., Outcome], tmp_path: Path, typed: list[str], words: list[str]
) -> None:
    outcome = deit_train(*typed, PATH="/nowhere")
    assert outcome.status == 2, outcome.said
    assert all(word in outcome.said for word in words), outcome.said
    assert "Traceback" not in outcome.said
    assert list(tmp_path.iterdir()) == []


THREADS = (
    "trainer.threads=3",
    "trainer.limit_batches=2",
)  # neither the cores nor one; few steps, which fight for cores
THREE = [3, "3", "3"]  # threads in a step, and the variables that say so


def one_process_writes(run: Path) -> None:
    assert json.loads((run / "run.json").read_text())["status"] == "done"
    assert [path.name for path in run.glob("*.log")] == ["train.log"]
    log = (run / "train.log").read_text()
    assert log.count("epoch 1 of 2") == log.count("epoch 2 of 2") == 1
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + 2 + 1, "a row an epoch, and one of the test"


@pytest.mark.slow
def test_torchrun_starts_a_run(tmp_path: Path, thread_counts: ThreadCounts) -> None:
    (line,) = OF_THE_PAGE
    typed = shlex.split(line.replace("src/train.py", str(ROOT / "src/train.py")))[1:]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *typed]
    done = subprocess.run(
        [*command, *TINY, "trainer.accelerator=cpu", "distill=none", *THREADS],
        cwd=tmp_path,
        env=os.environ | thread_counts.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one_process_writes(tmp_path / "logs/runs/two")
    assert thread_counts.read() == [THREE, THREE]


@pytest.mark.slow
def test_lightning_starts_a_run(
    deit_train: Callable[..., Outcome], tmp_path: Path, thread_counts: ThreadCounts
) -> None:
    given = ("distill=none", *THREADS, "hydra.run.dir=out")
    outcome = deit_train(*TINY, *TWO, *given, **thread_counts.environment)
    assert outcome.status == 0, outcome.said
    one_process_writes(tmp_path / "out")
    assert thread_counts.read() == [THREE, THREE]


@pytest.mark.slow
def test_submitit_starts_the_jobs_of_a_sweep(
    deit_train: Callable[..., Outcome], tmp_path: Path, thread_counts: ThreadCounts
) -> None:
    settings = (*TINY, "distill=none", "trainer.accelerator=cpu", "resources=submitit_local", "resources.jobs=2")
    given = ("resources.tasks_per_node=2", "seed=0,1", *THREADS, "-m", "hydra.sweep.dir=sweep")
    outcome = deit_train(*settings, *given, **thread_counts.environment)
    assert outcome.status == 0, outcome.said
    for number in range(2):
        one_process_writes(tmp_path / f"sweep/{number}")
    assert len(list((tmp_path / "sweep/.submitit").glob("*/*_result.pkl"))) == 4, "two jobs of two processes"
    assert thread_counts.read() == [THREE] * 4
