"""Length of a training on one's own images, so that it fits ``own.hours`` on this machine."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from deit.config import rules
from deit.config.adapt import adapted
from deit.config.errors import ConfigError, RunError
from deit.config.execution import epochs_at_scale
from deit.config.own_data import Own, OwnChoice
from deit.config.schema import Config
from deit.data.sources import DataSet, open_dataset
from deit.training import plan, probe
from deit.training.run import configure_torch

log = logging.getLogger(__name__)

TEACHER_STEP = 3.0  # a training step takes as long as about three forward passes
TEACHER_SHARE = 0.5  # of the time, at most, for a teacher that must be trained first
LEAST_EPOCHS = 3


@dataclass(frozen=True)
class Speed:
    """Measured seconds of an epoch on this machine."""

    student: float
    """Includes the teacher's answers and the validation."""
    teacher: float
    """Of training the teacher."""


@dataclass(frozen=True)
class Limit:
    """Epochs that fit the time."""

    epochs: int
    teacher_epochs: int | None
    """None without a teacher that is trained on the images."""
    reasons: list[str]


def within_hours(own: Own, config: Config) -> Own:
    """Return ``own`` with the epochs that fit ``own.hours``, if the recipe's take longer, and with the reason.

    A teacher that was trained before is used whatever its length, so that runs on the same images share it. Epochs that
    the user sets stay. Images that cannot be read are reported when training begins, and nothing is measured.

    Args:
        config: The configuration under the recipe ``own``.
    """
    if config.own.hours is None or not config.optim.adapt or config.own.choice is OwnChoice.none:
        return own
    try:
        dataset = open_dataset(config.data)
        planned, _ = adapted(config, len(dataset.train))
        if rules.problems(planned):
            return own
        log.info(f"measuring the speed of this machine for own.hours={config.own.hours:g}")
        now = limited(config, planned, dataset, measured(planned, dataset))
    except (ConfigError, RunError):
        return own
    return own if now is None else replace(own, **vars(now) | {"reasons": [*own.reasons, *now.reasons]})


def measured(config: Config, dataset: DataSet) -> Speed:
    """Measure the parts of a run of ``config``."""
    configure_torch(config)
    data, student, teacher = plan.parts(config, dataset)
    found = probe.measure(config, data, student, teacher)
    views = len(dataset.train) * max(TEACHER_STEP * found.teacher, found.load)
    return Speed(plan.epoch_seconds(config, data, found) / config.trainer.world_size, views)


def limited(config: Config, planned: Config, dataset: DataSet, speed: Speed) -> Limit | None:
    """Return the epochs of student and teacher that fit ``own.hours`` at ``speed``; None if the planned ones do.

    Args:
        config: The configuration as it was composed.
        planned: The same with its epochs for the number of images.
    """
    assert planned.own.hours is not None, "there is a limit"
    seconds, optim, fit = 3600 * planned.own.hours, planned.optim, planned.teacher.fit
    trains = planned.uses_teacher and planned.fits_teacher
    teacher = fit.epochs
    if trains and config.teacher.fit.epochs == config.scale.teacher_epochs:
        teacher = _teacher_epochs(planned, dataset, speed.teacher, TEACHER_SHARE * seconds)
    is_new = trains and bool(plan.unfitted(_with_teacher(planned, teacher), dataset))
    first = teacher * speed.teacher * is_new
    epochs = optim.epochs
    if config.optim.epochs == epochs_at_scale(optim.paper_epochs, config.scale.epochs):
        epochs = min(epochs, max(LEAST_EPOCHS, int((seconds - first) / speed.student)))
    changes = [f"{optim.epochs} -> {epochs} epochs"] * (epochs != optim.epochs)
    changes += [f"{fit.epochs} -> {teacher} epochs of the teacher"] * (teacher != fit.epochs)
    if not changes:
        return None
    whole = optim.epochs * speed.student + fit.epochs * speed.teacher * is_new
    now = first + epochs * speed.student
    why = (
        f"{', '.join(changes)}: about {plan.duration(now)} instead of {plan.duration(whole)} on this machine,"
        f" own.hours={planned.own.hours:g}; pass own.hours=<hours>, or own.hours=null for no limit"
    )
    return Limit(epochs, teacher if trains else None, [why])


def _teacher_epochs(planned: Config, dataset: DataSet, per_epoch: float, seconds: float) -> int:
    """Return the epochs of a teacher that was trained before, or the most that take at most ``seconds``."""
    choices = list(_halves(planned.teacher.fit.epochs))
    for epochs in choices:
        if not plan.unfitted(_with_teacher(planned, epochs), dataset):
            return epochs
    return next((epochs for epochs in choices if epochs * per_epoch <= seconds), choices[-1])


def _halves(epochs: int) -> Iterator[int]:
    """Yield ``epochs``, a half of it, a quarter and so on, down to the least."""
    least = min(epochs, LEAST_EPOCHS)
    while epochs > least:
        yield epochs
        epochs //= 2
    yield least


def _with_teacher(config: Config, epochs: int) -> Config:
    fit = replace(config.teacher.fit, epochs=epochs)
    return replace(config, teacher=replace(config.teacher, fit=fit))
