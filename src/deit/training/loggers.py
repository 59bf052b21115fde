"""Where a run's metrics go: metrics.csv always, TensorBoard and Weights & Biases where they are asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from deit.config.schema import Config
from deit.data.datamodule import KeyedData
from deit.training.csvlog import MetricsFile
from deit.training.folder import RunFolder
from deit.training.guard import guarded
from deit.training.showcase import Showcase

if TYPE_CHECKING:
    from deit.training.wandb_run import WandbRun


def build(config: Config, run: RunFolder, data: KeyedData, *, step: int) -> list[Logger]:
    """The loggers of a run, metrics.csv first; what an earlier process logged from ``step`` on does not count."""
    metrics_file = MetricsFile(run.path / "metrics.csv")
    metrics_file.resume_at(step)
    loggers: list[Logger] = [metrics_file]
    if config.logger.tensorboard:
        loggers.append(guarded(TensorBoardLogger(run.path, name="tensorboard", version="", purge_step=step)))
    if config.logger.wandb.enabled:
        from deit.training.wandb_run import open_run  # takes half a second, and only runs that ask for it should pay

        loggers.append(open_run(config, run.path, Showcase(data)))
    return loggers


def showcases(loggers: list[Logger]) -> list[Showcase]:
    """What the trainer is to call for loggers that show more than metrics."""
    return [run.showcase for run in _wandb_runs(loggers)]


def summarise(loggers: list[Logger], metrics: Mapping[str, float]) -> None:
    """Put the metrics of run.json, and what a showcase has, where a run is summarised."""
    for run in _wandb_runs(loggers):
        run.summarise(metrics)


def close(loggers: list[Logger]) -> None:
    """End what would otherwise leak into the next job of the same process."""
    for run in _wandb_runs(loggers):
        run.close()


def _wandb_runs(loggers: list[Logger]) -> "list[WandbRun]":
    return cast("list[WandbRun]", [logger for logger in loggers if isinstance(logger, WandbLogger)])
