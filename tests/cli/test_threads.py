"""The number of trainer.threads in every process of a command; see also test_processes.py and test_slurm.py."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_runs import TINY

from conftest import ROOT, Outcome
from thread_counts import ThreadCounts

SHORT = (*TINY, "optim.epochs=1", "teacher.fit.epochs=1", "trainer.limit_batches=2")
THREE = [3, "3", "3"]  # neither the cores of a machine where tests run nor one


def test_a_run_on_one_device_has_its_threads_and_meets_nobody(
    deit_train: Callable[..., Outcome], thread_counts: ThreadCounts
) -> None:
    given = thread_counts.environment | {"OMP_NUM_THREADS": "5", "MASTER_ADDR": "nowhere.invalid"}
    outcome = deit_train(*SHORT, "distill=none", "trainer=ddp", "trainer.accelerator=cpu", "trainer.threads=3", **given)
    assert outcome.status == 0, outcome.said
    assert thread_counts.read() == [THREE]


@pytest.mark.slow
def test_jobs_side_by_side_have_their_threads(deit_train: Callable[..., Outcome], thread_counts: ThreadCounts) -> None:
    given = ("distill=none", "seed=0,1", "trainer.threads=3", "resources=local_parallel", "-m")
    outcome = deit_train(*SHORT, *given, **thread_counts.environment)
    assert outcome.status == 0, outcome.said
    assert thread_counts.read() == [THREE, THREE]


@pytest.mark.slow
def test_the_builder_of_a_bank_has_its_threads(tmp_path: Path, thread_counts: ThreadCounts) -> None:
    build = [sys.executable, str(ROOT / "src/bank.py"), "build", *TINY, "teacher.fit.epochs=1", "trainer.threads=3"]
    subprocess.run(build, cwd=tmp_path, env=os.environ | thread_counts.environment, check=True, timeout=240)
    assert thread_counts.read() == [THREE]
