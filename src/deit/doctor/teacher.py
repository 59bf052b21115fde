"""The teacher: that it loads, answers the classes of the data, and knows something."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from deit.data.sources import DataSet, Split
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Verdict, ok, problem
from deit.evaluation import metrics
from deit.training import probe
from deit.training.decisions import TeacherDecisions, knows_nothing, measured
from deit.training.run import configure_torch, keyed_data

# Pixels that it is asked about: enough to tell it from chance, few enough for seconds with a network of 16 GFLOP.
PIXELS = {"cpu": 64 * 224 * 224, "cuda": 4096 * 224 * 224}


def check(subject: Subject) -> Iterator[Verdict]:
    """Load it, then ask it about some of the validation images."""
    config, teacher = subject.config, subject.teacher
    configure_torch(config)
    device = probe.device_of(config)
    teacher.to(device)
    parameters = sum(parameter.numel() for parameter in teacher.network.parameters())
    sides = " and ".join(map(str, teacher.network.sizes(config.image_size)))
    num_classes = len(subject.dataset.classes)
    with probe.precision(config, device):
        answer = teacher.answer(torch.zeros(2, 3, config.image_size, config.image_size, device=device))
    told = f"{teacher.label}, {parameters:,} parameters, sees {sides} pixels, answers {answer.shape[1]:,} classes"
    if tuple(answer.shape) != (2, num_classes):
        yield problem("loading", f"{told}, the data have {num_classes:,}", "teacher.checkpoint=<another>")
        return
    yield ok("loading", told)
    some = fewer(subject.dataset, PIXELS[device] // config.image_size**2)
    data = keyed_data(config, some)
    with probe.precision(config, device):
        right, total = measured(TeacherDecisions(teacher), data, torch.device(device))
    accuracy, guess = right / total, metrics.chance(torch.from_numpy(some.val.labels), num_classes)
    if accuracy <= guess:
        yield problem("accuracy", knows_nothing(teacher.label, data, accuracy, guess))
    else:
        yield ok("accuracy", f"{accuracy:.2f} % of {total:,} validation images (chance: {guess:.2f} %)")


def fewer(dataset: DataSet, most: int) -> DataSet:
    """``dataset`` with at most so many validation images, evenly spread."""
    val = dataset.val
    return replace(dataset, val=Split(val.source, val.indices[:: max(1, -(-len(val) // most))]))
