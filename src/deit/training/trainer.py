"""Lightning's Trainer as the configuration asks for it."""

import os
import subprocess
import warnings

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy
from timm.models.vision_transformer import Block

from deit.config.errors import ConfigError, invalid
from deit.config.execution import Trainer as Settings
from deit.config.resources import SUBMITIT_SLURM
from deit.config.schema import Config
from deit.training import progress
from deit.training.best_checkpoint import BestCheckpoint
from deit.training.checkpoints import CheckpointFiles, LastCheckpoint
from deit.training.finite import FiniteLoss
from deit.training.folder import RunFolder
from deit.training.patience import Patience
from deit.training.preemption import Signals
from deit.training.rendezvous import DDP, FSDP

PATIENCE = 10.0  # seconds that the ranks of a stopped run have to end by themselves
FIRST_PORT, NUM_PORTS = 15_000, 10_000  # below those that Linux gives to outgoing connections

# What Lightning warns of and we know: workers are data.workers' business, nothing is logged by the step, averages are
# synchronised before they are logged, a cluster need not be used, our loader begins where the trainer stands, a folder
# may hold checkpoints, and one of its own deprecated calls.
for known in (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*sync_dist=True.*",
    ".*`srun` command is available.*",
    ".*your dataloader is not resumable.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
):
    warnings.filterwarnings("ignore", message=known)


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
        cpu = "trainer=cpu" if settings.devices == 1 and not in_slurm else "trainer.accelerator=cpu"
        advice = f"trainer.devices={found}" if found and not in_slurm else cpu
        limit = f"at most {found}, the GPUs that PyTorch finds" if found else "0 because PyTorch finds no GPU"
        raise ConfigError(invalid(f"GPUs of trainer={settings.name}", limit, settings.devices, f"Pass {advice}"))


def slurm() -> list[SLURMEnvironment]:
    """SLURM's processes, where it started this one, without Lightning's requeueing: submitit requeues a job, once."""
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    job, step = (int(os.environ.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = FIRST_PORT + (job + 997 * step) % NUM_PORTS  # Lightning's is the same for all steps of a job
    os.environ.setdefault("MASTER_PORT", str(port))
    return [SLURMEnvironment(auto_requeue=False)]


class Begun(Callback):
    """Records that a run has begun to train, for the process that launched it."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.run.begun()


class Threads(Callback):
    """Sets PyTorch's CPU threads after the strategy, whose launcher may have set them to the machine's cores.

    Args:
        threads: ``trainer.threads``; None leaves them.
    """

    def __init__(self, threads: int | None) -> None:
        self.threads = threads

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.threads is not None:
            torch.set_num_threads(self.threads)


def plain_trainer(settings: Settings, *, epochs: int, what: str, keeping: LastCheckpoint | None = None) -> Trainer:
    """Lightning's trainer on one device, for fitting a teacher; keeping: its checkpoints, None for none."""
    callbacks, loggers = progress.show(what, epochs=epochs, bar=settings.progress)
    return Trainer(
        accelerator=settings.accelerator,
        devices=1,
        plugins=[CheckpointFiles(), *slurm()],
        precision=settings.precision,  # pyright: ignore[reportArgumentType] - checked against Lightning's names
        max_epochs=epochs,
        callbacks=[*callbacks, Threads(settings.threads), *([] if keeping is None else [keeping])],
        logger=loggers,
        enable_checkpointing=keeping is not None,
        enable_model_summary=False,
        enable_progress_bar=bool(callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def run_trainer(
    config: Config, run: RunFolder, loggers: list[Logger], extra: list[Callback], signals: Signals
) -> Trainer:
    """The trainer of a run: its devices, its checkpoints in the run's folder, one of them at a signal."""
    settings = config.trainer
    callbacks, lines = progress.show(config.name, epochs=config.optim.epochs, bar=settings.progress)
    return Trainer(
        default_root_dir=run.path,
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=_strategy(settings),
        precision=settings.precision,  # pyright: ignore[reportArgumentType] - checked against Lightning's names
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_grad,
        max_epochs=config.optim.epochs,
        limit_train_batches=settings.limit_batches,
        limit_val_batches=settings.limit_batches,
        limit_test_batches=settings.limit_batches,
        callbacks=[
            *callbacks,
            Threads(settings.threads),
            Begun(run),
            *extra,
            FiniteLoss(config, run.checkpoints),
            *([] if settings.patience is None else [Patience(settings.patience)]),
            BestCheckpoint(run.checkpoints),
            LastCheckpoint(run.checkpoints, settings, signals),
        ],
        plugins=[CheckpointFiles(), *slurm()],
        logger=[*loggers, *lines],
        enable_model_summary=False,
        enable_progress_bar=bool(callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module deals pairs to devices itself
    )


def _strategy(settings: Settings) -> str | Strategy:
    if settings.world_size == 1:
        return "auto"  # one device needs no process group, whose ranks might not find each other
    if settings.strategy == "ddp":
        # Devices may evaluate different numbers of batches, so no forward pass may wait for another's buffers.
        return DDP(broadcast_buffers=False, gradient_as_bucket_view=True)
    if settings.strategy == "fsdp":
        return FSDP(auto_wrap_policy={Block}, state_dict_type="full")
    return "auto"


def end_ranks(trainer: Trainer) -> None:
    """End the processes that Lightning started for a run which has stopped, and which may wait for it in vain."""
    for process in getattr(trainer.strategy.launcher, "procs", []):
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
