"""How training runs: groups `optim`, `trainer` and `logger`."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import II, MISSING

from deit.config.errors import nearest
from deit.config.synonyms import named
from deit.config.values import MOST, Choice, not_positive, outside

PAPER_EPOCHS = 300
"""Epochs that the paper trains for unless it says otherwise (Table 9)."""


def epochs_at_scale(paper_epochs: int, scale_epochs: int) -> int:
    """The length of what the paper calls ``paper_epochs``, where 300 are ``scale_epochs``; YAML may call it, too."""
    return max(1, round(paper_epochs * scale_epochs / PAPER_EPOCHS))


class OptimizerKind(Choice):
    """The optimisers that the paper compares (Table 8)."""

    adamw = "adamw"
    sgd = "sgd"
    lamb = "lamb"
    """DeiT III's (You et al., 2020)."""


class Schedule(Choice):
    """How the learning rate follows warm-up and cosine."""

    step = "step"
    """Every step; the cosine begins where the warm-up ends."""
    official = "official"
    """As the official code: one rate an epoch, an epoch late, under a cosine that begins with the warm-up."""


class LabelLoss(Choice):
    """What the labels are learnt by."""

    cross_entropy = "cross_entropy"
    binary = "binary"
    """One binary decision a class, every class of a mixed image being true (DeiT III)."""


@dataclass(kw_only=True)
class Optim:
    """Optimiser, batch and schedule (Table 9)."""

    kind: OptimizerKind = MISSING
    lr: float = MISSING
    """Peak learning rate per 512 samples: the rate used is lr * batch_size / 512 (section 5)."""
    scale_lr: bool = True
    """Whether lr is per 512 samples, or is the peak rate itself."""
    batch_size: int = II("scale.batch_size")
    """Samples an optimiser step, over all devices and accumulated batches."""
    epochs: int = II("epochs_at_scale:${optim.paper_epochs},${scale.epochs}")
    paper_epochs: int = PAPER_EPOCHS
    """Length by the paper's name for it (Figure 3: 300 to 1000), 300 being what the scale has; epochs wins over it."""
    warmup_epochs: int = II("scale.warmup_epochs")
    adapt: bool = True
    """Whether the scale's batch and warm-up give way where the images or the epochs are too few for them."""
    schedule: Schedule = Schedule.step
    warmup_lr: float = 1e-6
    """Learning rate of the first step; not scaled by the batch."""
    min_lr: float = 1e-5
    """Learning rate of the last step; not scaled by the batch."""
    weight_decay: float = MISSING
    """Applied to matrices only: not to biases, norms, tokens and position embeddings."""
    decay_dist_token: bool = False
    """Apply it to the distillation token too, as the official code's version of timm did."""
    momentum: float = 0.9
    """SGD's momentum; AdamW's and LAMB's first beta."""
    loss: LabelLoss = LabelLoss.cross_entropy
    ema: float | None = None
    """Decay a step of an exponential moving average of the weights, kept and measured beside them; the official
    code: 0.99996. null: none."""
    ema_chosen: bool = False
    """Whether the averaged weights are the run's: best.ckpt is chosen and acc1 measured with them."""

    @property
    def peak_lr(self) -> float:
        return self.lr * self.batch_size / 512 if self.scale_lr else self.lr  # linear scaling, section 5

    def problems(self) -> Iterator[str]:
        yield from not_positive(optim__lr=self.lr, optim__batch_size=self.batch_size, optim__epochs=self.epochs)
        yield from outside("optim.weight_decay", self.weight_decay, 0, 1)
        yield from outside("optim.momentum", self.momentum, 0, 1, open_high=True)
        yield from outside("optim.warmup_lr", self.warmup_lr, 0, 1)
        yield from outside("optim.min_lr", self.min_lr, 0, 1)
        yield from not_positive(optim__paper_epochs=self.paper_epochs)
        if self.ema is not None:
            yield from outside("optim.ema", self.ema, 0, 1, open_low=True, open_high=True)
        elif self.ema_chosen:
            yield "optim.ema_chosen=true, but no average is kept; pass optim.ema=0.99996"
        yield from outside("optim.warmup_epochs", self.warmup_epochs, 0, MOST)


@dataclass(kw_only=True)
class Trainer:
    """Which devices work, how many, and at what precision."""

    name: str = MISSING
    accelerator: str = MISSING
    """Lightning's name: cpu, gpu or auto."""
    strategy: str = "auto"
    """Lightning's name: auto (one device), ddp or fsdp."""
    devices: int = 1
    """Devices a node."""
    num_nodes: int = 1
    precision: str = "32-true"
    """Lightning's name: 32-true, bf16-mixed, 16-mixed."""
    accumulate: int = 1
    """Batches whose gradients are summed before a step; does not change optim.batch_size."""
    clip_grad: float | None = None
    """Largest gradient norm; null: no clipping (Table 9)."""
    limit_batches: int | None = None
    """For dry runs: batches of an epoch, of validation and of the test, on each device; null: all."""
    patience: int | None = II("own.patience")
    """Epochs in a row without a better accuracy on the validation split after which training ends; null: it never ends
    before its last epoch."""
    compile: bool = False
    """Compile student and teacher with torch.compile: minutes at the start, faster steps on GPUs."""
    channels_last: bool = False
    """Convolutions of a student in channels-last layout, which suits convnets; a teacher's always are."""
    threads: int | None = II("scale.threads")
    """CPU threads of PyTorch a process; null: PyTorch's choice."""
    checkpoint_minutes: float = 10.0
    """Longest training that a killed run repeats; a checkpoint is also written when an epoch begins, and at signals."""
    checkpoint_steps: int | None = None
    """Optimiser steps between checkpoints, besides; null: minutes alone say."""
    progress: bool = True
    """Whether a progress bar is drawn."""

    @property
    def world_size(self) -> int:
        return self.devices * self.num_nodes

    def problems(self) -> Iterator[str]:
        yield from not_positive(
            trainer__devices=self.devices, trainer__num_nodes=self.num_nodes, trainer__accumulate=self.accumulate
        )
        choices = {
            "accelerator": (self.accelerator, ("cpu", "gpu", "auto")),
            "strategy": (self.strategy, ("auto", "ddp", "fsdp")),
            "precision": (self.precision, ("32-true", "bf16-mixed", "16-mixed")),
        }
        for name, (value, possible) in choices.items():
            if value not in possible:
                yield (
                    f"trainer.{name}={value} is unknown; possible: {', '.join(possible)};"
                    f" pass trainer.{name}={named(name, value) or nearest(value, possible) or possible[0]}"
                )
        yield from not_positive(trainer__checkpoint_minutes=self.checkpoint_minutes)
        if self.checkpoint_steps is not None:
            yield from not_positive(trainer__checkpoint_steps=self.checkpoint_steps)
        if self.clip_grad is not None:
            yield from not_positive(trainer__clip_grad=self.clip_grad)
        if self.threads is not None:
            yield from not_positive(trainer__threads=self.threads)
        if self.limit_batches is not None:
            yield from not_positive(trainer__limit_batches=self.limit_batches)
        if self.patience is not None:
            yield from not_positive(trainer__patience=self.patience)


@dataclass(kw_only=True)
class Wandb:
    """Weights & Biases; without a key it runs offline and says how to sync."""

    enabled: bool = False
    project: str = "deit"
    entity: str | None = None


@dataclass(kw_only=True)
class Logger:
    """Where metrics go besides metrics.csv; several at once: ``logger=[tensorboard,wandb]``."""

    csv: bool = True
    """metrics.csv, which every report reads; always on."""
    tensorboard: bool = False
    wandb: Wandb = field(default_factory=Wandb)

    def problems(self) -> Iterator[str]:
        if not self.csv:
            yield "logger.csv=false: metrics.csv is what a run is reported from; it cannot be switched off"
