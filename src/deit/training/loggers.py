"""Where a run's metrics go: metrics.csv always, TensorBoard and Weights & Biases where they are asked for."""

import logging
import os
from collections.abc import Mapping

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from deit.config import compose
from deit.config.preflight import frozen_run
from deit.config.schema import Config
from deit.training.csvlog import MetricsFile
from deit.training.folder import RunFolder, is_rank_zero
from deit.training.guard import guarded

log = logging.getLogger(__name__)

LONGEST_TAG = 64  # characters that Weights & Biases takes


def build(config: Config, run: RunFolder) -> list[Logger]:
    """The loggers of a run, metrics.csv first."""
    loggers: list[Logger] = [MetricsFile(run.path / "metrics.csv")]
    if config.logger.tensorboard:
        loggers.append(guarded(TensorBoardLogger(run.path, name="tensorboard", version="")))
    if config.logger.wandb.enabled:
        loggers.append(_wandb(config, run))
    return loggers


def close(loggers: list[Logger]) -> None:
    """End what would otherwise leak into the next job of the same process."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def summarise(loggers: list[Logger], metrics: Mapping[str, float]) -> None:
    """Put the metrics of run.json where a run is summarised; of curves only the last value would stand there."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and is_rank_zero():
            logger.experiment.summary.update(dict(metrics))


def tags(config: Config) -> list[str]:
    """What was chosen of each group that experiments compare, as one would type it."""
    chosen = {
        "model": config.model.name,
        "teacher": config.teacher.name if config.uses_teacher else "none",
        "distill": config.distill.method,
        "scale": config.scale.name,
        "resolution": config.resolution.name,
        "data": config.data.name,
        "augment": config.augment.name,
        "optim": config.optim.kind,
    }
    return [f"{group}={option}"[:LONGEST_TAG] for group, option in chosen.items()]


def _wandb(config: Config, run: RunFolder) -> WandbLogger:
    import wandb  # takes half a second, and only runs that ask for it should pay

    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        os.environ.setdefault(variable, str(run.path.absolute() / "wandb"))  # a later sync needs them beside the run
    (run.path / "wandb").mkdir(parents=True, exist_ok=True)
    online = bool(os.environ.get("WANDB_API_KEY")) and os.environ.get("WANDB_MODE", "online") == "online"
    if not online:
        log.info(f"wandb runs offline: no WANDB_API_KEY; to upload later: wandb sync {run.path}/wandb/offline-run-*")
    logger = WandbLogger(
        project=config.logger.wandb.project,
        entity=config.logger.wandb.entity,
        name=config.name,
        id=f"{run.path.parent.name}-{run.path.name}".replace("/", "-"),
        group=run.path.parent.name if frozen_run(run.path).is_file() else None,
        tags=tags(config),
        save_dir=run.path,
        offline=not online,
        mode="online" if online else "offline",  # `offline` alone is ignored once a process has had a session
        resume="allow",
        reinit="create_new",  # jobs of one process must not share a run
        log_model=False,
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,  # the command line and the environment stay here
            x_save_requirements=False,
            x_transaction_log_flush_interval=5,  # seconds; 15 lose a short run that is killed
        ),
    )
    logger.log_hyperparams(compose.plain(config))  # pyright: ignore[reportArgumentType]
    return logger
