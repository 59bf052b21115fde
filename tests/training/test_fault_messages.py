"""Faults of the machine are told once, with what to type."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deit.config.errors import ConfigError, RunError
from deit.config.material import OnError
from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.training.faults import explained
from deit.training.modules import StudentModule
from deit.training.run import train
from deit.training.teachers import data_identity


def told(config: Config, error: BaseException) -> str:
    with pytest.raises(RunError) as caught, explained(config):
        raise error
    assert caught.value.__cause__ is error
    return str(caught.value)


def test_memory_that_a_gpu_does_not_have_names_what_to_change_in_which_order(config: Callable[..., Config]) -> None:
    c = config("optim.batch_size=48", "trainer=ddp", "trainer.devices=2", "trainer.accumulate=2", "optim.adapt=false")
    said = told(c, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation"))
    assert "the GPU ran out of memory (CUDA out of memory. Tried to allocate 20.00 GiB.): 12 images at a time" in said
    assert "(optim.batch_size=48, 2 devices, trainer.accumulate=2) of 28 pixels" in said
    cures = [said.index(cure) for cure in ("trainer.accumulate=3", "trainer.precision=bf16-mixed", "trainer=fsdp")]
    assert cures == sorted(cures) and cures[-1] < said.index("optim.batch_size=24")


def test_parts_that_do_not_divide_the_batch_are_not_proposed(config: Callable[..., Config]) -> None:
    said = told(config("optim.batch_size=20", "trainer.accumulate=2"), torch.OutOfMemoryError("out of memory"))
    assert "trainer.accumulate=5," in said
    said = told(config("optim.batch_size=20", "trainer.accumulate=10"), torch.OutOfMemoryError("out of memory"))
    assert "trainer.accumulate=10)" in said
    assert said.count("trainer.accumulate=") == 1


@pytest.mark.parametrize("ask", [lambda: torch.empty(2**60), lambda: np.empty(2**59)], ids=["PyTorch", "NumPy"])
def test_memory_that_no_machine_has_is_told(config: Callable[..., Config], ask: Callable[[], object]) -> None:
    said = r"the machine ran out of memory.* To try, in this order: trainer\.accumulate="
    with pytest.raises(RunError, match=said), explained(config()):
        ask()


WORKERS = {
    "DataLoader worker (pid 17) is killed by signal: Killed. ": "(process 17) died, killed by signal: Killed; most",
    "DataLoader worker (pid(s) 17, 18) exited unexpectedly": "(process 17, 18) died, ended by itself; most likely",
    "Caught MemoryError in DataLoader worker process 1.\nOriginal": "a data worker ran out of memory; pass data",
    "DataLoader worker (pid 17) is killed by signal: Bus error. It is possible that dataloader's workers are out of"
    " shared memory. Please try to raise your shared memory limit.": "ran out of shared memory (/dev/shm)",
    "Caught RuntimeError in DataLoader worker process 0.\nRuntimeError: unable to write to file </torch_17_1_0>:"
    " No space left on device (28)": "ran out of shared memory (/dev/shm)",
}


@pytest.mark.parametrize("said", WORKERS)
def test_what_becomes_of_data_workers_is_told_with_how_many_to_have(config: Callable[..., Config], said: str) -> None:
    kind = MemoryError if "MemoryError" in said else RuntimeError
    message = told(config("data.workers=8"), kind(said))
    assert WORKERS[said] in message
    assert "pass data.workers=4, not 8, or a smaller batch; the same command goes on from the last" in message


def test_a_step_without_memory_ends_the_run_as_failed(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(StudentModule, "training_step", without_memory)
    with pytest.raises(RunError, match=r"64 images at a time.*trainer\.accumulate=2, which leaves the batch"):
        train(config("distill=none", "scale.depth=1", "optim.batch_size=64"), tmp_path / "run", [])
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"].startswith("RunError: the GPU ran out of memory")


def test_a_probed_image_that_cannot_be_read_makes_other_data_or_ends_the_run(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    for number in range(40):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number,) * 3).save(path)
    data = config("data=folder", f"data.root={tmp_path}/photos", "data.on_error=skip").data
    dataset = open_dataset(data)
    whole = data_identity(dataset, data)
    Path(dataset.train.source.describe(int(dataset.train.indices[0]))).write_bytes(b"")
    broken = data_identity(dataset, data)
    assert broken == data_identity(dataset, data) != whole
    data.on_error = OnError.stop
    with pytest.raises(RunError, match=r"an image cannot be read:\n.*the file is empty(?s:.*)data\.on_error=skip"):
        data_identity(dataset, data)


def test_a_full_disk_is_named_whoever_met_it(config: Callable[..., Config], tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "file"))
    assert f"{tmp_path}/file cannot be written (No space left on device)" in told(config(), full)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), FileNotFoundError(2, "gone"), ConfigError("wrong"), KeyboardInterrupt()]
)
def test_everything_else_passes_as_it_is(config: Callable[..., Config], error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, explained(config()):
        raise error
    assert caught.value is error
