"""Batch, length and warm-up for few images or few epochs: what the scale says gives way, what the user says stays.

``scale=paper`` is made for 1.28 million images. With a thousand, its batch of 1024 would be the whole epoch and
five epochs of warm-up would be five steps.
"""

from dataclasses import replace

from deit.config.execution import epochs_at_scale
from deit.config.schema import Config

MIN_STEPS = 16  # an epoch of fewer steps is too coarse for a rate that follows epochs
MIN_BATCH = 64  # under the linear rule a smaller batch of the paper's would train at next to no rate
MIN_WARMUP_STEPS = 50  # Adam's averages over gradients need some dozens before their ratio means anything
MAX_WARMUP = 5  # at most a fifth of the training


def adapted(config: Config, num_images: int | None = None) -> tuple[Config, list[str]]:
    """``config`` with a batch, a length and a warm-up that suit the data, and why each was changed.

    The length changes for one's own images alone (group ``own``): elsewhere a share of the images is compared with
    another over the same epochs. Touches only what stands as the scale set it, and nothing under
    ``optim.adapt=false``. The learning rate follows the batch by the linear rule (DeiT section 5).

    Args:
        num_images: Training images; None where only the length of the training is known yet.
    """
    if not config.optim.adapt:
        return config, []
    reasons: list[str] = []
    if num_images is not None and config.optim.batch_size == config.scale.batch_size:
        config = _smaller_batch(config, num_images, reasons)
    if config.own.epochs is not None:
        config = _as_measured(config)
    elif num_images is not None:
        config = _longer(config, num_images, reasons)
    if config.optim.warmup_epochs == config.scale.warmup_epochs:
        config = _other_warmup(config, num_images, reasons)
    return config, reasons


def steps_per_epoch(config: Config, num_images: int) -> int:
    """Optimiser steps of an epoch over ``num_images`` training images, but for images that sit out of a pairing."""
    return max(1, -(-num_images // config.optim.batch_size))


def _smaller_batch(config: Config, num_images: int, reasons: list[str]) -> Config:
    was = config.optim
    unit = 2 * config.trainer.world_size * config.trainer.accumulate  # pairs on every device, as the rules have it
    wanted = max(num_images // MIN_STEPS, min(MIN_BATCH, was.batch_size))
    batch = max(unit, wanted // unit * unit)
    if batch >= was.batch_size:
        return config
    now = replace(was, batch_size=batch)
    rate = f", peak learning rate {was.peak_lr:.3g} -> {now.peak_lr:.3g}" if was.scale_lr else ""
    reasons.append(
        f"batch {was.batch_size} -> {batch}{rate}: {num_images} training images make an epoch of"
        f" {steps_per_epoch(config, num_images)} steps otherwise; optim.adapt=false keeps the scale's"
    )
    return replace(config, optim=now)


def _longer(config: Config, num_images: int, reasons: list[str]) -> Config:
    own, optim, fit = config.own, config.optim, config.teacher.fit
    times = -(-own.steps // (steps_per_epoch(config, num_images) * optim.epochs))
    if times > 1 and optim.epochs == epochs_at_scale(optim.paper_epochs, config.scale.epochs):
        now = replace(optim, epochs=times * optim.epochs)
        reasons.append(
            f"epochs {optim.epochs} -> {now.epochs}, of {steps_per_epoch(config, num_images)} steps:"
            f" {num_images} training images are few, at least {own.steps:,} steps; pass optim.epochs=<number>"
        )
        config = replace(config, optim=now)
        if own.patience is not None and config.trainer.patience == own.patience:
            config = replace(config, trainer=replace(config.trainer, patience=times * own.patience))
    times = -(-own.teacher_steps // (-(-num_images // fit.batch_size) * fit.epochs))
    if times > 1 and config.uses_teacher and config.fits_teacher and fit.epochs == config.scale.teacher_epochs:
        longer = replace(fit, epochs=times * fit.epochs)
        reasons.append(
            f"epochs of the teacher {fit.epochs} -> {longer.epochs}: at least {own.teacher_steps:,} steps; pass"
            " teacher.fit.epochs=<number>"
        )
        config = replace(config, teacher=replace(config.teacher, fit=longer))
    return config


def _as_measured(config: Config) -> Config:
    """Return ``config`` with the epochs that fit ``own.hours``, whose reason stands with the choice of the recipe."""
    own, optim, fit = config.own, config.optim, config.teacher.fit
    at_scale = epochs_at_scale(optim.paper_epochs, config.scale.epochs)
    if own.epochs is not None and optim.epochs == at_scale:
        config = replace(config, optim=replace(optim, epochs=own.epochs))
        if own.patience is not None and config.trainer.patience == own.patience:
            times = max(1, own.epochs // at_scale)  # as where few images are trained on for longer
            config = replace(config, trainer=replace(config.trainer, patience=times * own.patience))
    if own.teacher_epochs is not None and fit.epochs == config.scale.teacher_epochs:
        config = replace(config, teacher=replace(config.teacher, fit=replace(fit, epochs=own.teacher_epochs)))
    return config


def _other_warmup(config: Config, num_images: int | None, reasons: list[str]) -> Config:
    was = config.optim.warmup_epochs
    now = was
    if was and num_images is not None:
        now = max(was, -(-MIN_WARMUP_STEPS // steps_per_epoch(config, num_images)))
    now = min(now, config.optim.epochs // MAX_WARMUP)
    if now == was:
        return config
    steps = "" if num_images is None else f" of {steps_per_epoch(config, num_images)} steps"
    why = "a fifth of the training at most" if now < was else f"at least {MIN_WARMUP_STEPS} steps"
    reasons.append(
        f"warm-up {was} -> {now} epochs{steps}: {why}; pass optim.warmup_epochs=<number> or optim.adapt=false"
    )
    return replace(config, optim=replace(config.optim, warmup_epochs=now))
