"""What a training step takes: the official loop, and ours without a teacher, with one, and with a bank in its place."""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from deit.benchmark import official, ours, peak
from deit.benchmark.request import Request
from deit.benchmark.results import Ratio, Result, rows_of, times_as_fast
from deit.benchmark.rounds import Candidate, interleaved, timed
from deit.config.schema import Config
from deit.config.teaching import Method
from deit.data.finishing import normalised
from deit.data.sources import DataSet, open_dataset
from deit.evaluation.throughput import Spent
from deit.models.students import Student
from deit.models.teachers import Ensemble
from deit.training import probe, teachers
from deit.training.modules import StudentModule
from deit.training.run import build_module, configure_torch, initial_student, make_student

ABOUT = """\
Training steps on one batch in memory, no loading. The official loop is the official engine's without a teacher:
timm's network in eager mode, attention with its softmax written out as in the timm release that the code is
bound to (and, in a second row, fused), timm's Mixup, AdamW in its plain form, the loss read in every step, a
moving average of all weights; in a third row it distils, with timm's network of the teacher. Ours is the module
of a run under its Trainer, all callbacks included, from the uint8 batch on (normalised, erased, mixed), with the
same network, batch, optimiser and a moving average as well: without a teacher, with a live teacher, and with its
answers from a bank. Teachers have random weights, which are as fast. The share of the peak is the step's
floating-point operations, as torch's flop counter has them, over the peak: the fastest of a product of large
matrices and of large convolutions in both memory layouts, measured in the same round."""

OFFICIAL, FUSED, TAUGHT = "official loop", "official loop, fused attention", "official loop, live teacher"
NO_TEACHER = "ours, no teacher"
SHARE = "% of the peak"


def benchmark(config: Config, request: Request) -> Result:
    """Time the steps."""
    config = ours.averaged_too(ours.one_device(config))
    configure_torch(config)
    dataset = open_dataset(config.data)
    device = probe.device_of(config)
    data = ours.FixedBatch(config, dataset)
    size, alone = len(data.raw.labels), ours.untaught(config)
    loops = _official(alone, data) | _official_taught(config, data)
    untaught = build_module(alone, dataset, initial_student(alone, dataset), None)
    modules: dict[str, tuple[Config, StudentModule]] = {NO_TEACHER: (alone, untaught)}
    peaks = peak.candidates(config, device)
    with tempfile.TemporaryDirectory() as folder:
        if config.distill.active:
            found = ours.taught(config, dataset, data, Path(folder) / "bank")
            modules |= {name: (config, module) for name, module in found.items()}
        candidates = [
            *(Candidate(name, timed(work, device)) for name, (work, _) in peaks.items()),
            *(Candidate(name, timed(loop.step, device, units=size)) for name, loop in loops.items()),
            *(Candidate(name, _each(size, *under_trainer, data)) for name, under_trainer in modules.items()),
        ]
        taken = interleaved("step", candidates, rounds=request.rounds, seconds=request.seconds)
    reached = peak.per_round({name: (taken.pop(name), flops) for name, (_, flops) in peaks.items()})
    flops = _flops(config, dataset)
    return Result(
        what="step",
        about=ABOUT,
        unit="image",
        rows=rows_of(taken, {name: {SHARE: _share(taken[name], flops[name], reached)} for name in taken}),
        ratios=_ratios(taken),
        facts={
            "student": config.model.name,
            "teacher": config.teacher.name if config.distill.active else "none",
            "pixels": config.image_size,
            "batch": size,
            "precision": config.trainer.precision,
            "peak in GFLOP/s": statistics.median(reached) / 1e9,
        },
    )


def _official(config: Config, data: ours.FixedBatch) -> dict[str, official.Loop]:
    """The official loop over the same images and labels; with fused attention too, where there is attention."""
    net = make_student(config, num_classes=data.num_classes).net
    images, labels = normalised(data.raw.images, config.data), data.raw.labels
    kinds = {OFFICIAL: False, FUSED: True} if _has_attention(net) else {OFFICIAL: False}
    return {
        name: official.Loop(deepcopy(net), config, images, labels, num_classes=data.num_classes, fused=fused)
        for name, fused in kinds.items()
    }


def _official_taught(config: Config, data: ours.FixedBatch) -> dict[str, official.Loop]:
    """The official loop of hard distillation, for students with the token; the teacher as timm builds it."""
    if config.distill.method is not Method.hard or not config.token:
        return {}
    net = make_student(config, num_classes=data.num_classes).net
    network = teachers.untrained(config, num_classes=data.num_classes)
    if isinstance(network, Ensemble):
        return {}
    teacher = network.net.to(memory_format=torch.contiguous_format)
    images, labels = normalised(data.raw.images, config.data), data.raw.labels
    loop = official.Loop(
        net, config, images, labels, num_classes=data.num_classes, fused=False, teacher=teacher.requires_grad_(False)
    )
    return {TAUGHT: loop}


def _has_attention(net: nn.Module) -> bool:
    return any(hasattr(module, "fused_attn") for module in net.modules())


def _each(size: int, config: Config, module: StudentModule, data: ours.FixedBatch) -> Callable[[float], Spent]:
    """Measures an image's share of a step of ``module`` under the Trainer."""
    steps = ours.TrainerSteps(config, module, data)
    return lambda seconds: steps.measure(seconds).per(size)


def _flops(config: Config, dataset: DataSet) -> dict[str, float]:
    """Floating-point operations of a step for an image, by candidate: forward, backward, and the teacher's answer."""
    num_classes, side = len(dataset.classes), config.image_size
    alone = _trained(make_student(ours.untaught(config), num_classes=num_classes), side)
    flops: dict[str, float] = dict.fromkeys((OFFICIAL, FUSED, NO_TEACHER), alone)
    if not config.distill.active:
        return flops
    student = _trained(make_student(config, num_classes=num_classes), side)
    teacher = teachers.untrained(config, num_classes=num_classes).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        teacher(torch.zeros(1, 3, side, side))
    both = student + counter.get_total_flops()
    return flops | {TAUGHT: both, ours.LIVE: both, ours.REPLAYED: student}


def _trained(student: Student, side: int) -> float:
    """Of a forward and backward pass for one image; torch does not count those of the CPU's fused attention."""
    official.written_out(student, fused=False)
    images = torch.zeros(2, 3, side, side)  # two, for batch statistics of convnets
    with FlopCounterMode(display=False) as counter:
        heads = [logits for logits in student(images) if logits is not None]
        torch.stack(heads).sum().backward()
    return counter.get_total_flops() / 2


def _share(taken: Sequence[Spent], flops: float, reached: Sequence[float]) -> float:
    """Return the percentage of the peak that a step reaches, the median over rounds."""
    pairs = zip(taken, reached, strict=True)
    return statistics.median(100 * flops / step.wall / most for step, most in pairs)


def _ratios(taken: Mapping[str, Sequence[Spent]]) -> list[Ratio]:
    """Each beside the official loop; the bank beside the teacher that it replaces, and beside none."""
    pairs = [(name, OFFICIAL) for name in taken if name != OFFICIAL]
    pairs += [(NO_TEACHER, FUSED), (ours.LIVE, TAUGHT)]
    pairs += [(ours.REPLAYED, other) for other in (TAUGHT, ours.LIVE, NO_TEACHER)]
    return [times_as_fast(taken, one, other) for one, other in pairs if {one, other} <= taken.keys()]
