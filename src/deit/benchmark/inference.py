"""Images a second in evaluation, at the batch that is fastest: Table 5's column."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import nn

from deit.benchmark.request import Request
from deit.benchmark.results import Result, rows_of, times_as_fast
from deit.benchmark.rounds import Candidate, interleaved, timed
from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.evaluation.throughput import fastest_batch
from deit.training import probe
from deit.training.run import configure_torch, make_student

ABOUT = """\
Forward passes in evaluation mode, at the batch that is fastest: doubled until memory ends or nothing is gained.
Plain is timm's network in eager mode; ours is the student, both heads where it has two, with `trainer.compile`
and `trainer.channels_last` as they are set; both in `trainer.precision`. The last column is the paper's figure
(Table 5: one V100, float32), where it has one."""

PLAIN, OURS = "timm, eager", "ours"
PAPER = "images/s in Table 5"
TABLE_5 = {
    ("deit_ti", 224): 2536.5,
    ("deit_s", 224): 940.4,
    ("deit_b", 224): 292.3,
    ("deit_b", 384): 85.9,
    ("resnet18", 224): 4458.4,
    ("resnet50", 224): 1226.1,
    ("resnet101", 224): 753.6,
    ("resnet152", 224): 526.4,
    ("regnety_040", 224): 1156.7,
    ("regnety_080", 224): 591.6,
    ("regnety_160", 224): 334.7,
    ("efficientnet_b0", 224): 2694.3,
    ("efficientnet_b1", 240): 1662.5,
    ("efficientnet_b2", 260): 1255.7,
    ("efficientnet_b3", 300): 732.1,
    ("efficientnet_b4", 380): 349.4,
    ("efficientnet_b5", 456): 169.1,
}


def benchmark(config: Config, request: Request) -> Result:
    """Time the network of ``model``."""
    configure_torch(config)
    device, side = probe.device_of(config), config.image_size
    student = make_student(config, num_classes=len(open_dataset(config.data).classes)).to(device).eval()
    plain = deepcopy(student.net)
    if config.trainer.channels_last:
        student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stub forgets it
    size = fastest_batch(lambda size: _forward(plain, size, config), device)
    if config.trainer.compile:
        student.compile()
    candidates = [
        Candidate(name, timed(_forward(network, size, config), device, units=size))
        for name, network in ((PLAIN, plain), (OURS, student))
    ]
    taken = interleaved("inference", candidates, rounds=request.rounds, seconds=request.seconds)
    name = config.model.net or config.model.name
    published = TABLE_5.get((name.partition(".")[0], side)) if config.scale.shrink == 1 else None
    return Result(
        what="inference",
        about=ABOUT,
        unit="image",
        rows=rows_of(taken, {} if published is None else {OURS: {PAPER: published}}),
        ratios=[times_as_fast(taken, OURS, PLAIN)],
        facts={
            "network": name,
            "parameters": f"{sum(parameter.numel() for parameter in student.parameters()):,}",
            "pixels": side,
            "batch": size,
            "precision": config.trainer.precision,
            "compile": config.trainer.compile,
            "channels_last": config.trainer.channels_last,
        },
    )


def _forward(network: nn.Module, size: int, config: Config) -> Callable[[], object]:
    device, side = probe.device_of(config), config.image_size
    images = torch.rand(size, 3, side, side, device=device)
    if config.trainer.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)

    def forward() -> object:
        with torch.inference_mode(), probe.precision(config, device):
            return network(images)

    return forward
