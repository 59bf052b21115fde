"""Sweeps through a real SLURM: two nodes, on this machine."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from private_slurm import PrivateSlurm, missing

from conftest import ROOT, Outcome
from thread_counts import ThreadCounts

# Jobs of two processes, one on each node, small enough for seconds.
SETTINGS = (
    "distill=none", "optim.warmup_epochs=0", "scale.depth=1", "data.train_fraction=0.15", "trainer.accelerator=cpu",
    "resources=slurm_1x1", "resources.nodes=2", "resources.cpus_per_task=1", "-m", "hydra.sweep.dir=sweep",
)  # fmt: skip
SIX = (*SETTINGS, "name=a,b,c,d,e,f", "optim.epochs=4", "resources.hours=0.15")


@pytest.fixture(scope="module")
def slurm() -> Iterator[PrivateSlurm]:
    if gone := missing():
        pytest.skip(f"SLURM is not installed (Debian's packages slurm-wlm and munge): {', '.join(gone)}")
    with PrivateSlurm(nodes=2, cpus=2) as cluster:  # two jobs at once
        yield cluster


def ids(sweep: Path) -> dict[str, str]:
    """The numbers of the jobs in SLURM's queue."""
    submitted = json.loads((sweep / ".preflight/slurm.json").read_text())
    return {number: job for number, job in submitted.items() if number != "sha256"}


def statuses(sweep: Path, jobs: int) -> list[str]:
    return [json.loads((sweep / f"{number}/run.json").read_text())["status"] for number in range(jobs)]


def wait_for_any(*files: Path) -> None:
    deadline = time.monotonic() + 240
    while not any(file.is_file() for file in files):
        assert time.monotonic() < deadline, f"none of {files}"
        time.sleep(0.02)


@pytest.fixture
def launched(slurm: PrivateSlurm, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a sweep and let it run; its process ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def launch(*settings: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "src/train.py"), *settings]
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=slurm.environment, **out))
        return started[-1]

    yield launch
    for process in started:
        process.kill()
        process.communicate()
    slurm.cancel_all()


@pytest.mark.slow
def test_six_jobs_end_alike_though_one_is_requeued_and_one_runs_out_of_time(
    slurm: PrivateSlurm,
    launched: Callable[..., subprocess.Popen[str]],
    deit_train: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    """The sweep's own process is ended, too, while they are at work; started again it finds them where they are."""
    sweep = tmp_path / "sweep"
    first = launched(*SIX)
    ends = {
        "0": lambda job: slurm.ask("scontrol", "requeue", job),  # as an administrator does
        "1": lambda job: slurm.signal(job, "USR2"),
    }
    while ends:
        wait_for_any(*(sweep / f"{number}/checkpoints/last.ckpt" for number in ends))
        for number in [one for one in ends if (sweep / f"{one}/checkpoints/last.ckpt").is_file()]:
            ends.pop(number)(ids(sweep)[number])
    submitted = ids(sweep)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "jobs stay in SLURM's queue" in said
    assert "6 queued" in said

    again = deit_train(*SIX, timeout=900, **slurm.environment)
    assert again.status == 0, again.said
    assert ids(sweep) == submitted, "no job is submitted twice"
    assert statuses(sweep, 6) == ["done"] * 6
    assert [slurm.fact(submitted[str(number)], "Restarts") for number in range(6)] == ["1", "1", "0", "0", "0", "0"]
    log = (sweep / f".submitit/{submitted['1']}/{submitted['1']}_0_log.out").read_text().splitlines()
    said_by_submitit = [line for line in log if line.startswith("submitit ")]
    for words in ("this job is timed-out", "Requeued job"):
        assert sum(words in line for line in said_by_submitit) == 1
    weights = [
        torch.load(sweep / f"{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for number in range(6)
    ]
    assert all(torch.equal(one[name], weights[-1][name]) for one in weights for name in one)
    for number in range(6):
        logs = [path.name for path in (sweep / f"{number}").glob("*.log")]
        assert logs == ["train.log"], "only one process writes"


@pytest.mark.slow
def test_a_job_that_is_killed_and_one_that_fails_are_told(
    slurm: PrivateSlurm, launched: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "broken.ckpt").write_bytes(b"no weights")
    sweep = launched(*SETTINGS, "init=null,broken.ckpt", "optim.epochs=500")
    wait_for_any(tmp_path / "sweep/0/checkpoints/last.ckpt")
    slurm.signal(ids(tmp_path / "sweep")["0"], "KILL")
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, said
    assert "sweep: 2 failed" in said
    assert "FAILED" in said, "in SLURM's words, for there are none of its own"
    assert "broken.ckpt" in said
    assert statuses(tmp_path / "sweep", 2) == ["running", "failed"]


def test_jobs_that_slurm_does_not_take_are_told_at_once(
    slurm: PrivateSlurm, deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = deit_train(*SETTINGS, "name=a,b", "resources.partition=gold", **slurm.environment)
    assert outcome.status == 2
    assert "invalid partition specified: gold" in outcome.said
    assert "Traceback" not in outcome.said


@pytest.mark.slow
def test_jobs_of_one_process_have_their_threads_and_meet_nobody(
    slurm: PrivateSlurm, deit_train: Callable[..., Outcome], tmp_path: Path, thread_counts: ThreadCounts
) -> None:
    """Nodes' names lead nowhere here, so that a rendezvous would fail."""
    given = (*SETTINGS, "resources.nodes=1", "name=a,b", "optim.epochs=1", "trainer.limit_batches=2")
    environment = slurm.environment | thread_counts.environment
    environment.pop("MASTER_ADDR")
    outcome = deit_train(*given, "trainer.threads=3", timeout=300, **environment)
    assert outcome.status == 0, outcome.said
    assert statuses(tmp_path / "sweep", 2) == ["done", "done"]
    assert thread_counts.read() == [[3, "3", "3"]] * 2
