"""Faults of the machine that a run may meet, told as what happened and what to type."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from deit.config.errors import FULL, RunError, written
from deit.config.schema import Config

WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is (killed by signal: [\w ]+)|exited unexpectedly)"
)
IN_WORKER = "in DataLoader worker process"  # what PyTorch says of an error that a worker has handed on
NO_SHARED_MEMORY = ("Bus error", "shared memory", "unable to write to file </torch_", "unable to resize file </torch_")
NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
GOES_ON = "the same command goes on from the last checkpoint"


@contextmanager
def explained(config: Config) -> Iterator[None]:
    """Turn what PyTorch and the system raise for faults of the machine into one `RunError` each."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if (told := _told(str(error), error, config)) is None:
            raise
        raise RunError(told) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        with written(Path(error.filename or "a file of this run"), "what was written before is kept"):
            raise


def _told(said: str, error: Exception, config: Config) -> str | None:
    if any(word in said for word in NO_SHARED_MEMORY) and "DataLoader worker" in said:
        return f"data workers ran out of shared memory (/dev/shm), where their batches lie; {_fewer_workers(config)}"
    if found := WORKER.search(said):
        how = found[2] or "ended by itself"
        memory = f"most likely the machine ran out of memory: {_fewer_workers(config)}"
        return f"a data worker (process {found[1]}) died, {how}; {memory}"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(word in said for word in NO_MEMORY):
        if IN_WORKER in said:
            return f"a data worker ran out of memory; {_fewer_workers(config)}"
        return _out_of_memory(said, config)
    return None


def _fewer_workers(config: Config) -> str:
    now = config.data.workers
    fewer = f"pass data.workers={now // 2}, not {now}, or a smaller batch" if now else "pass a smaller batch"
    return f"{fewer}; {GOES_ON}"


def _out_of_memory(said: str, config: Config) -> str:
    trainer, batch = config.trainer, config.optim.batch_size
    device = "GPU" if "CUDA" in said or trainer.accelerator == "gpu" else "machine"
    at_once = batch // trainer.world_size // trainer.accumulate
    reason = next((line.strip() for line in said.splitlines() if any(word in line for word in NO_MEMORY)), "")
    return (
        f"the {device} ran out of memory{f' ({reason})' if reason else ''}: {at_once} images at a time on each device"
        f" (optim.batch_size={batch}, {trainer.world_size} devices, trainer.accumulate={trainer.accumulate}) of"
        f" {config.image_size} pixels. To try, in this order: {'; '.join(_cures(config))}"
    )


def _cures(config: Config) -> Iterator[str]:
    trainer, batch = config.trainer, config.optim.batch_size
    parts = range(trainer.accumulate + 1, batch // (2 * trainer.world_size) + 1)
    if more := next((part for part in parts if batch % (2 * part * trainer.world_size) == 0), None):
        yield f"trainer.accumulate={more}, which leaves the batch of a step as it is"
    if trainer.precision == "32-true":
        yield "trainer.precision=bf16-mixed"
    if config.uses_teacher and config.fits_teacher:
        yield f"teacher.fit.batch_size={max(2, config.teacher.fit.batch_size // 2)}, if the teacher was being fitted"
    if trainer.strategy == "ddp":
        yield "trainer=fsdp, which divides the weights among the devices"
    yield f"optim.batch_size={max(2 * trainer.world_size, batch // 2)}, another recipe"
    yield "a smaller resolution or model"
