"""A run at Weights & Biases. What fails there is said once and never ends a training."""

import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from deit.config import compose
from deit.config.ledger import sweep_of
from deit.config.schema import Config
from deit.config.teacher_names import network_name
from deit.training.showcase import Showcase, Table

log = logging.getLogger(__name__)

LONGEST_TAG = 64  # characters that Weights & Biases takes


class WandbRun(WandbLogger):
    """Lightning's logger, with an end: tables, summary, exit code. Its first failure is its last attempt.

    Args:
        config: What runs; logged too.
        folder: The run's folder; the id is made of it, so that a run that is started again goes on there.
        mode: ``online``, ``offline`` or ``disabled``.
        showcase: Whose tables are logged at the end.
    """

    def __init__(self, config: Config, folder: Path, mode: str, showcase: Showcase) -> None:
        self.folder, self.mode, self.showcase = folder, mode, showcase
        self.has_failed = False
        super().__init__(
            project=config.logger.wandb.project,
            entity=config.logger.wandb.entity,
            name=config.name,
            id=run_id(folder),
            group=sweep_of(folder),
            tags=tags(config),
            save_dir=folder,
            mode=mode,
            resume="allow",
            reinit="create_new",  # jobs of one process must not share a run
            log_model=False,
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                init_timeout=30,  # seconds, after which it runs offline; W&B would wait for 90
                x_disable_meta=True,  # the command line and the environment stay here
                x_save_requirements=False,
                x_transaction_log_flush_interval=5,  # seconds; 15 lose a short run that is killed
            ),
        )
        self.log_hyperparams(compose.plain(config))  # pyright: ignore[reportArgumentType]

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        self._attempt(lambda: super(WandbRun, self).log_hyperparams(params))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._attempt(lambda: super(WandbRun, self).log_metrics(metrics, step))

    @rank_zero_only
    def summarise(self, metrics: Mapping[str, float]) -> None:
        """Log the tables, and ``metrics`` as what the run comes to: of curves only the last value would stand there."""
        self._attempt(lambda: self.experiment.log({name: _table(made) for name, made in self.showcase.tables.items()}))
        self._attempt(lambda: self.experiment.summary.update(dict(metrics)))

    @rank_zero_only
    def close(self) -> None:
        """End the run, as failed where an exception ends it; the next job of this process starts anew."""
        exit_code = 0 if sys.exc_info()[0] is None else 1
        self._attempt(lambda: self.experiment.finish(exit_code))
        if self.has_failed:
            _end_service()
        if self.mode == "offline":
            log.info(f"wandb was offline; {sync_command(self.folder)}")

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.has_failed:
            return
        try:
            action()
        except Exception as error:
            self.has_failed = True
            said = f"{type(error).__name__}: {error}"
            log.warning(f"wandb failed and is not asked again: {said}; training goes on, metrics.csv has everything")


def open_run(config: Config, folder: Path, showcase: Showcase) -> WandbRun:
    """The run of ``folder``: online where there is a key and it answers, else offline, which is said."""
    own = folder / "wandb"
    own.mkdir(parents=True, exist_ok=True)
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        os.environ.setdefault(variable, str(own.absolute()))  # a later sync needs them beside the run
    os.environ.setdefault("WANDB_SILENT", "true")  # it would ask the network for a name to greet
    mode, why = _mode()
    if mode == "online":
        run = WandbRun(config, folder, mode, showcase)
        if not run.has_failed:
            return run
        run.close()
        mode, why = "offline", "it cannot be reached"
    log.info(f"wandb is {mode}: {why}{f'; {sync_command(folder)}' if mode == 'offline' else ''}")
    return WandbRun(config, folder, mode, showcase)


def sync_command(folder: Path) -> str:
    """How to upload what a run has left offline."""
    return f"to upload later: wandb sync {folder}/wandb/offline-run-*"


def run_id(folder: Path) -> str:
    """The same whenever the run is started: its folder and the one around it, in letters that an id may have."""
    return re.sub(r"[^\w.=-]+", "-", "-".join(folder.absolute().parts[-2:]))


def tags(config: Config) -> list[str]:
    """What was chosen of each group that experiments compare, as one would type it."""
    chosen = {
        "model": config.model.name,
        "teacher": network_name(config.teacher.name) if config.uses_teacher else "none",
        "distill": config.distill.method,
        "scale": config.scale.name,
        "resolution": config.resolution.name,
        "data": config.data.name,
        "augment": config.augment.name,
        "optim": config.optim.kind,
    }
    return [f"{group}={option}"[:LONGEST_TAG] for group, option in chosen.items()]


def _mode() -> tuple[str, str]:
    """How to run, and why not online."""
    if (asked := os.environ.get("WANDB_MODE", "online")) != "online":
        return asked, f"WANDB_MODE={asked}"
    try:
        has_key = wandb.login(prompt=False, verify=False)  # as `wandb login` left it, or WANDB_API_KEY
    except Exception as error:
        return "offline", str(error)
    return ("online", "") if has_key else ("offline", "no WANDB_API_KEY")


def _table(made: Table) -> object:
    rows = [[wandb.Image(cell) if isinstance(cell, Image.Image) else cell for cell in row] for row in made.rows]
    return wandb.Table(columns=made.columns, data=rows)  # pyright: ignore[reportArgumentType] - wants its own types


def _end_service() -> None:
    """End W&B's process, which may be what failed: the next job of this process would ask it again."""
    try:
        wandb.teardown()
    except Exception as error:
        log.debug(f"wandb.teardown: {error}")  # it complains of what has been said
