"""Devices that are there or not, and processes that do not come together; real sums are in tests/cli/test_doctor.py."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deit.config.errors import RunError
from deit.config.schema import Config
from deit.doctor import collective, devices
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Grade


def test_gpus_that_are_not_there_are_a_problem_and_the_rest_is_looked_at(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(devices, "bandwidth", lambda backend, processes: 2.5e9)
    found = {verdict.subject: verdict for verdict in devices.check(Subject(config("trainer=gpu")))}
    assert found["trainer"].grade is Grade.problem
    assert "must be 0 because PyTorch finds no GPU" in found["trainer"].found
    assert found["CPU"].grade is Grade.ok
    assert found["sum over devices (gloo)"].found == "2 CPU processes at 2.50 GB/s"


def test_a_gpu_that_the_driver_has_and_pytorch_has_not_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/usr/bin/{name}")
    (found,) = devices.gpus(torch.float32)
    assert found.grade is Grade.warning
    assert torch.__version__ in found.found and "CUDA_VISIBLE_DEVICES" in found.advice


def test_a_sum_that_fails_says_how_to_learn_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(backend: str, processes: int) -> float:
        raise RunError(f"{processes} processes of {backend}")

    monkeypatch.setattr(devices, "bandwidth", failing)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    found = devices.together()
    assert found.grade is Grade.problem
    assert found.found == "4 processes of nccl"
    assert "NCCL_DEBUG=INFO" in found.advice


def test_a_wrong_product_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.speed("cpu", torch.float32).endswith(" GFLOP/s")
    monkeypatch.setattr(devices, "LARGEST_ERROR", 0.0)
    with pytest.raises(RuntimeError, match="is wrong"):
        devices.speed("cpu", torch.float32)


@pytest.mark.parametrize(
    ("program", "patience", "told"),
    [
        ("print('no route to host'); raise SystemExit(1)", 60.0, "process 1 failed, it said last: no route to host"),
        ("import time; time.sleep(60)", 0.2, "was too slow, it said last: nothing"),
    ],
)
def test_a_process_that_fails_or_waits_for_ever_is_told(
    program: str, patience: float, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collective, "PATIENCE", patience)
    with (tmp_path / "0").open("w+") as one, (tmp_path / "1").open("w+") as other:
        patient = [sys.executable, "-c", "import time; time.sleep(60)"]
        started = [
            subprocess.Popen(patient, stdout=one),
            subprocess.Popen([sys.executable, "-c", program], stdout=other),
        ]
        try:
            with pytest.raises(RunError, match=told):
                collective.wait(started, [one, other])
        finally:
            for process in started:
                process.kill()
                process.wait()
