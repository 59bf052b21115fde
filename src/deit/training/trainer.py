"""Lightning's Trainer as the configuration asks for it."""

import warnings
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from timm.models.vision_transformer import Block
from torch import Tensor

from deit.config.errors import ConfigError
from deit.config.execution import Trainer as Settings
from deit.config.resources import SUBMITIT_SLURM
from deit.config.schema import Config
from deit.training import progress
from deit.training.finite import FiniteLoss
from deit.training.folder import RunFolder

# What Lightning warns of and we know: workers are data.workers' business, nothing is logged by the step, averages are
# synchronised before they are logged, a run may do without the SLURM that is installed, and one of its own deprecated
# calls.
for known in (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*sync_dist=True.*",
    ".*`srun` command is available.*",
    ".*LeafSpec.*",
):
    warnings.filterwarnings("ignore", message=known)


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt by accuracy on the validation split.

    Of equally good epochs the later one is the best: on a small split many are equal, and the first of
    them is the one that has trained least.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor="val/acc1",
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,  # a resumed run goes on writing the same name
        )

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        equal = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        return equal or super().check_monitor_top_k(trainer, current)


def last_checkpoint(folder: Path) -> ModelCheckpoint:
    """Keeps last.ckpt, written after every epoch; it follows `BestCheckpoint`, whose state it holds."""
    return ModelCheckpoint(dirpath=folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)


def refuse_missing_devices(config: Config) -> None:
    """Refuse a run on more GPUs than PyTorch sees; a job of SLURM's asks for GPUs unless it asks for the CPU.

    Raises:
        ConfigError: with both numbers.
    """
    settings, in_slurm = config.trainer, config.resources.launcher == SUBMITIT_SLURM
    if settings.accelerator == "cpu" or (settings.accelerator == "auto" and not in_slurm):
        return
    found = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    if found < settings.devices:
        raise ConfigError(
            f"trainer={settings.name} asks for {settings.devices} GPUs, PyTorch sees {found};"
            f" pass {f'trainer.devices={found}' if found and not in_slurm else 'trainer.accelerator=cpu'}"
        )


def slurm() -> SLURMEnvironment | None:
    """SLURM's processes, where it started this one, without Lightning's requeueing: submitit requeues a job, once."""
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return None
    return SLURMEnvironment(auto_requeue=False)


def plain_trainer(settings: Settings, *, epochs: int, what: str) -> Trainer:
    """A trainer on one device that keeps nothing: for fitting a teacher."""
    callbacks, loggers = progress.show(what, epochs=epochs, bar=settings.progress)
    return Trainer(
        accelerator=settings.accelerator,
        devices=1,
        plugins=slurm(),
        precision=settings.precision,  # pyright: ignore[reportArgumentType] - checked against Lightning's names
        max_epochs=epochs,
        callbacks=callbacks,
        logger=loggers,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=bool(callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def run_trainer(config: Config, run: RunFolder, loggers: list[Logger], extra: list[Callback]) -> Trainer:
    """The trainer of a run: its devices, its checkpoints in the run's folder."""
    settings = config.trainer
    callbacks, lines = progress.show(config.name, epochs=config.optim.epochs, bar=settings.progress)
    return Trainer(
        default_root_dir=run.path,
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=_strategy(settings),
        plugins=slurm(),
        precision=settings.precision,  # pyright: ignore[reportArgumentType] - checked against Lightning's names
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_grad,
        max_epochs=config.optim.epochs,
        limit_train_batches=settings.limit_batches,
        limit_val_batches=settings.limit_batches,
        limit_test_batches=settings.limit_batches,
        callbacks=[
            *callbacks,
            *extra,
            FiniteLoss(config, run.checkpoints),
            BestCheckpoint(run.checkpoints),
            last_checkpoint(run.checkpoints),
        ],
        logger=[*loggers, *lines],
        enable_model_summary=False,
        enable_progress_bar=bool(callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module deals pairs to devices itself
    )


def _strategy(settings: Settings) -> str | Strategy:
    if settings.strategy == "ddp":
        # Devices may evaluate different numbers of batches, so no forward pass may wait for another's buffers.
        return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    if settings.strategy == "fsdp":
        return FSDPStrategy(auto_wrap_policy={Block}, state_dict_type="full")
    return "auto"
