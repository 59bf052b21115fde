"""The memory that a step of the configuration needs: real steps, on a GPU of ever larger batches until none fits."""

import gc
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from deit.config.schema import Config
from deit.config.teaching import BankMode
from deit.data.batches import TrainBatch
from deit.data.sources import DataSet
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Unmet, Verdict, not_checked, ok, problem, warning
from deit.models.teachers import FrozenTeacher
from deit.training import faults, optimizer, probe, teachers
from deit.training.plan import parts
from deit.training.run import build_module, configure_torch, initial_student
from deit.training.trainer import plain_trainer

MOST = 2**14  # images; beyond the batches that DeiT is trained with on one device
CLOSE = 16  # a search ends within this share of the batch
SHARE = 0.9  # of the largest batch is advised: memory is in pieces after some hours, and validation needs some too
CPU_PIXELS = 16 * 224 * 224  # of the batch that is measured on a CPU, from which larger ones follow
STEPS = 2  # the first makes the optimiser's state, the second has all there is at once
PAIRS = 4  # images rendered; larger batches repeat them


def check(subject: Subject) -> Iterator[Verdict]:
    """Make steps on the kind of device that a run would use."""
    config, dataset = subject.config, subject.trained_on
    if config.trainer.strategy == "fsdp":
        raise Unmet("trainer=fsdp spreads a network over the devices; only a run of all of them shows what each needs")
    if config.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        raise Unmet(f"trainer={config.trainer.name} wants a GPU, and PyTorch sees none of CUDA")
    configure_torch(config)
    device = probe.device_of(config)
    step = Step(config, dataset, device)
    with faults.explained(config):
        yield on_gpu(config, step) if device == "cuda" else on_cpu(config, step)


class Step:
    """Training steps of a run, teacher included, on batches of any size."""

    def __init__(self, config: Config, dataset: DataSet, device: str) -> None:
        # Its weights make no difference; a bank that were opened for random ones would be of nothing.
        distill = replace(config.distill, bank=BankMode.off)
        trainer = replace(config.trainer, compile=False, progress=False)
        config = replace(config, init=None, distill=distill, trainer=trainer)
        self.config, self.device = config, device
        network = teachers.untrained(config, num_classes=len(dataset.classes)) if config.uses_teacher else None
        teacher = None if network is None else FrozenTeacher(network, config.teacher.name).to(device)
        self.module = build_module(config, dataset, initial_student(config, dataset), teacher).to(device).train()
        self.module.trainer = plain_trainer(trainer, epochs=1, what="")  # which it asks for the number of devices
        self.optimizer, _ = optimizer.build(self.module, config.optim, steps_per_epoch=1)
        data, _, _ = parts(config, dataset)
        self.some = data.rendered(0, PAIRS, torch.device(device))

    def __call__(self, size: int) -> None:
        """Make some steps on ``size`` images; raises RuntimeError where memory is too small."""
        batch = self._batch(size)
        for _ in range(STEPS):
            with probe.precision(self.config, self.device):
                loss = self.module.training_step(batch, 0)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _batch(self, size: int) -> TrainBatch:
        again = -(-size // len(self.some.images))
        return TrainBatch(*(part.repeat(again, *[1] * (part.ndim - 1))[:size] for part in self.some))


def per_device(config: Config, accumulate: int | None = None) -> int:
    """Images of one forward pass on one device."""
    return config.optim.batch_size // config.trainer.world_size // (accumulate or config.trainer.accumulate)


def on_gpu(config: Config, step: Step) -> Verdict:
    """Search the largest batch, and say what to accumulate."""
    peaks: dict[int, float] = {}

    def fits(size: int) -> bool:
        torch.cuda.reset_peak_memory_stats()
        try:
            step(size)
            peaks[size] = torch.cuda.max_memory_allocated() / 1e9
        except RuntimeError as error:
            if not any(words in str(error) for words in faults.NO_MEMORY):
                raise
        # Only here is the error gone, and with it what its frames hold.
        step.optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        told = f"take {peaks[size]:.2f} GB" if size in peaks else "are too many"
        sys.stderr.write(f"memory: {size:,} images {told}\n")
        return size in peaks

    wanted = per_device(config)
    most = largest(fits, MOST)
    if wanted <= most and wanted not in peaks:
        fits(wanted)
    return advised(config, most, peaks, torch.cuda.get_device_properties(0).total_memory / 1e9)


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest even batch that fits, within a sixteenth of it; 0 if not even a pair does.

    Doubled from a pair, so that the optimiser's state is there early, until one does not fit or ``most`` does; then
    halved in between.
    """
    low, high, size = 0, None, 2
    while low < most and (high is None or high - low > max(2, low // CLOSE)):
        if fits(size):
            low = size
        else:
            high = size
        size = min(2 * low, most) if high is None else max(2, (low + high) // 4 * 2)
    return low


def advised(config: Config, most: int, peaks: dict[int, float], total: float) -> Verdict:
    """What to type, if the batch of ``config`` does not fit where ``most`` do; ``peaks`` and ``total`` in GB."""
    wanted, now = per_device(config), config.trainer.accumulate
    figures = tuple(f"{size:,} images: {peak:.2f} GB" for size, peak in sorted(peaks.items()))
    more = " or more" if most >= MOST else ""
    told = f"{most:,} images{more} fit a GPU of {total:.0f} GB at once"
    enough = accumulation(config, SHARE * most)
    if wanted > most:
        advice = f"trainer.accumulate={enough}" if enough else "a smaller model or resolution, or trainer=fsdp"
        told = f"{told}, optim.batch_size={config.optim.batch_size} puts {wanted:,} on each"
        return problem("", told, advice, listed=figures)
    told = f"{told}; this configuration puts {wanted:,} on each, which take {peaks[wanted]:.2f} GB"
    if enough is not None and enough < now:
        return warning("", told, f"trainer.accumulate={enough} is enough, and faster", listed=figures)
    if wanted > SHARE * most:
        return warning("", f"{told}, with little to spare", f"trainer.accumulate={enough}", listed=figures)
    return ok("", told, listed=figures)


def accumulation(config: Config, most: float) -> int | None:
    """The fewest batches to accumulate so that ``most`` images fit a device at once; None if a pair is too many."""
    total, devices = config.optim.batch_size, config.trainer.world_size
    for parts_of_it in range(1, total // (2 * devices) + 1):
        if total % (2 * devices * parts_of_it) == 0 and per_device(config, parts_of_it) <= most:
            return parts_of_it
    return None


def on_cpu(config: Config, step: Step) -> Verdict:
    """What a process grows to, beside what is free."""
    free = free_memory()
    if free is None or _resident() is None:
        return not_checked("", "this system does not say what memory a process uses")
    wanted = per_device(config)
    size = max(2, min(wanted, CPU_PIXELS // config.image_size**2))
    before = _resident() or 0.0
    step(2)
    least = grown(before)
    step(size)
    slope = (grown(before) - least) / (size - 2) if size > 2 else 0.0
    needed = (least + slope * (wanted - 2)) * config.trainer.devices
    how = "measured" if size == wanted else f"reckoned from {size}"
    told = f"{wanted:,} images a step take {needed:.2f} GB more than the program itself ({how}), {free:.1f} GB are free"
    if needed > SHARE * free:
        return problem("", told, "a larger trainer.accumulate")
    return ok("", told)


def grown(before: float) -> float:
    """GB that this process has had at most, above ``before``."""
    return max(0.0, (_status("VmHWM") or before) - before)


def _resident() -> float | None:
    """GB of memory of this process; what it had at most counts anew from here, where the system lets it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> float | None:
    file = Path("/proc/self/status")
    found = re.search(rf"^{field}:\s+(\d+) kB", file.read_text() if file.is_file() else "", re.M)
    return None if found is None else int(found[1]) * 1024 / 1e9


def free_memory() -> float | None:
    """GB that may still be used: of the machine, or of the container where it has less."""
    file = Path("/proc/meminfo")
    found = re.search(r"^MemAvailable:\s+(\d+) kB", file.read_text() if file.is_file() else "", re.M)
    if found is None:
        return None
    free = int(found[1]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and limit.read_text().strip().isdecimal():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free / 1e9
