"""What the Trainer adds to a step: the same module under it and in a bare loop around the same calls."""

import statistics
from collections.abc import Callable

import torch

from deit.benchmark import ours
from deit.benchmark.request import Request
from deit.benchmark.results import Result, rows_of, times_as_fast
from deit.benchmark.rounds import Candidate, interleaved, timed
from deit.config.schema import Config
from deit.data.batches import TrainBatch
from deit.data.sources import open_dataset
from deit.evaluation.throughput import Spent
from deit.training import optimizer, probe
from deit.training.modules import StudentModule
from deit.training.run import build_module, configure_torch, initial_student
from deit.training.trainer import plain_trainer

ABOUT = """\
The same student without a teacher, module, batch and optimiser once under the Trainer of a run with its
callbacks, once in a bare loop around the same calls: batch to the device, erased and mixed, `training_step`,
backward, optimiser, schedule."""

BARE, TRAINER = "bare loop", "under the Trainer"
MICROSECONDS = "µs a step more"


def benchmark(config: Config, request: Request) -> Result:
    """Time both."""
    config = ours.untaught(ours.one_device(config))
    configure_torch(config)
    dataset = open_dataset(config.data)
    device = probe.device_of(config)
    data = ours.FixedBatch(config, dataset)
    bare = bare_step(config, build_module(config, dataset, initial_student(config, dataset), None), data)
    managed = ours.TrainerSteps(config, build_module(config, dataset, initial_student(config, dataset), None), data)
    candidates = [
        Candidate(BARE, timed(bare, device)),
        Candidate(TRAINER, managed.measure),
    ]
    taken = interleaved("overhead", candidates, rounds=request.rounds, seconds=request.seconds)
    more = [managed.wall - alone.wall for managed, alone in zip(taken[TRAINER], taken[BARE], strict=True)]
    return Result(
        what="overhead",
        about=ABOUT,
        unit="step",
        rows=rows_of(taken, {TRAINER: {MICROSECONDS: 1e6 * statistics.median(more)}}),
        ratios=[times_as_fast(taken, BARE, TRAINER)],
        facts={
            "student": config.model.name,
            "pixels": config.image_size,
            "batch": len(data.raw.labels),
            "overhead in %": 100 * statistics.median(_overheads(taken)),
        },
    )


def _overheads(taken: dict[str, list[Spent]]) -> list[float]:
    return [managed.wall / bare.wall - 1 for managed, bare in zip(taken[TRAINER], taken[BARE], strict=True)]


def bare_step(config: Config, module: StudentModule, data: ours.FixedBatch) -> Callable[[], None]:
    """A training step of ``module`` as a plain loop would call it."""
    device = probe.device_of(config)
    module.trainer = plain_trainer(config.trainer, epochs=1, what="")  # asked for the number of devices and the epoch
    module.to(device).train()
    chosen, schedule = optimizer.build(module, config.optim, steps_per_epoch=1)

    def step() -> None:
        raw = data.transfer_batch_to_device(data.raw, torch.device(device), 0)
        batch = data.on_after_batch_transfer(raw, 0)
        assert isinstance(batch, TrainBatch)
        module.on_train_batch_start(batch, 0)
        with probe.precision(config, device):
            loss = module.training_step(batch, 0)
        chosen.zero_grad()
        loss.backward()
        chosen.step()
        if module.average is not None:
            module.average.update_parameters(module.student)
        schedule.step()
        module.on_train_batch_end(None, batch, 0)

    return step
