"""Whether loading or computing holds a run up, measured on a few images, and what to type against it."""

import math
from collections.abc import Iterator

import torch

from deit.config.material import IN_MEMORY, Decode
from deit.config.schema import Config
from deit.doctor.machine import num_cores
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Unmet, Verdict, ok, warning
from deit.training import faults, probe
from deit.training.plan import duration, epoch_seconds, parts
from deit.training.run import configure_torch

NOTICED = 1.1  # times as long as it could be; less is not worth a setting
PACKED_AT = 256  # pixels: what 224 are cropped from


def check(subject: Subject) -> Iterator[Verdict]:
    """Time loading, step and teacher as a plan does."""
    config = subject.config
    if config.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        raise Unmet(f"trainer={config.trainer.name} wants a GPU, and PyTorch sees none of CUDA")
    configure_torch(config)
    data, student, teacher = parts(config, subject.dataset)
    with faults.explained(config):
        measured = probe.measure(config, data, student, teacher)
    yield bottleneck(config, measured, num_cores())
    epoch = epoch_seconds(config, data, measured)
    whole = duration(config.optim.epochs * epoch)
    yield ok("length", f"{duration(epoch)} an epoch, {whole} for {config.optim.epochs} on one {measured.device} device")


def bottleneck(config: Config, measured: probe.Probe, cores: float) -> Verdict:
    """Compare what loaders can bring with what a device can take."""
    workers, compute = config.data.workers, measured.step + measured.teacher
    taught = f", {1 / measured.step:,.1f} without the teacher" if measured.teacher else ""
    loaded = f"a loader brings {1 / measured.load:,.1f}, there {'is 1' if workers == 1 else f'are {workers}'}"
    told = f"{measured.device} computes {1 / compute:,.1f} images/s{taught}; {loaded}"
    taken = measured.training(workers)
    if taken <= NOTICED * compute:
        return ok("bottleneck", f"computing: {told}")
    share = f"loading: {told}; a step takes {taken / compute:.2f} times as long as without"
    return warning("bottleneck", share, against_loading(config, measured.load / compute, cores))


def against_loading(config: Config, needed: float, cores: float) -> str:
    """What to type where ``needed`` loaders would keep a device busy."""
    workers = max(1, math.ceil(needed))
    available = int(cores / config.trainer.devices) - 1  # the training process has one to itself
    advice = []
    if config.data.decode is Decode.reference:
        advice.append("data.decode=fast")
    if config.data.packed_side is None and config.data.kind not in IN_MEMORY and workers > available:
        advice.append(f"data.pack={PACKED_AT}")
    if max(1, min(workers, available)) > config.data.workers:
        advice.append(f"data.workers={max(1, min(workers, available))}")
    return " ".join(advice) or f"more cores: {workers} loaders a device would keep up"
