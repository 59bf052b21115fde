"""The folder that a run leaves: run.json, config.yaml, metrics.csv, train.log, checkpoints/."""

import json
import logging
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import cast

import yaml
from lightning.pytorch.utilities import rank_zero_only

from deit.config import compose, ledger, revision
from deit.config.errors import ConfigError, RunError, written
from deit.config.holding import held
from deit.config.schema import Config

log = logging.getLogger(__name__)

SCHEMA = 1
LOCK = ".lock"
RECORDED_VERSIONS = ("torch", "torchvision", "timm", "lightning", "hydra-core", "numpy", "pillow")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` so that a reader, or a crash, sees the old file or the new one.

    Raises:
        RunError: naming it, if the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with written(path, "it is as it was before"):
        try:
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def is_rank_zero() -> bool:
    """Whether this is the process of a run that writes and speaks for all."""
    return getattr(rank_zero_only, "rank", 0) == 0


class RunFolder:
    """Keeps run.json true from the first moment to the last; only rank zero writes.

    Args:
        path: The run's folder; made if need be.
        config: What runs.
        overrides: What the user typed.

    Raises:
        ConfigError: if the folder already holds a run of another configuration, or a damaged run.json, or another
            process works in it.
    """

    def __init__(self, path: Path, config: Config, overrides: list[str]) -> None:
        self.path = path
        self.record: dict[str, object] = {
            "schema": SCHEMA,
            "status": "running",
            "fingerprint": compose.fingerprint(config),
            "overrides": overrides,
            **({"own": compose.plain(config.own)} if config.own.reasons else {}),
            "metrics": {},
            "timing": {},
            "environment": environment(),
            "error": None,
        }
        self._refuse_another_run()
        if is_rank_zero():
            self._lock = held(path / LOCK, what=f"on the run in {path}", another="hydra.run.dir=<folder>")
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_atomically(path / "config.yaml", yaml.safe_dump(compose.plain(config), sort_keys=False))
            self._write()

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint that is measured on the test split."""
        return self.checkpoints / "best.ckpt"

    @property
    def metrics(self) -> dict[str, float]:
        """What run.json has of them: empty until the run is done."""
        return cast(dict[str, float], self.record["metrics"])

    def done(self, metrics: dict[str, float], timing: dict[str, float], **facts: object) -> None:
        self.record.update(status="done", metrics=metrics, timing=timing, **facts)
        self._write()

    def stopped(self, error: BaseException) -> None:
        """Record why the run ended early: ``preempted`` by a signal, else ``failed``."""
        preempted = isinstance(error, (KeyboardInterrupt, SystemExit))
        said = f"{type(error).__name__}: {error}"
        self.record.update(status="preempted" if preempted else "failed", error=None if preempted else said)
        try:
            self._write()
        except RunError as fault:
            log.error(fault)  # beside the error that ended the run, which is the one to raise

    def _refuse_another_run(self) -> None:
        earlier = _read(self.path)
        if earlier is not None and earlier.get("fingerprint") != self.record["fingerprint"]:
            raise ConfigError(
                f"{self.path} holds a run of another configuration (see its config.yaml); pass another"
                " hydra.run.dir=<folder>, or the settings of that run to continue it"
            )

    @rank_zero_only
    def _write(self) -> None:
        write_atomically(self.path / "run.json", json.dumps(self.record, indent=2) + "\n")


def finished(folder: Path, config: Config) -> dict[str, float] | None:
    """The metrics of a run of ``config`` that ``folder`` already holds, done; None if there is no such."""
    record = _read(folder)
    if record is None or record.get("status") != "done" or record.get("fingerprint") != compose.fingerprint(config):
        return None
    return cast(dict[str, float], record["metrics"])


def refuse_unfinished(folder: Path) -> None:
    """Raise RunError unless ``folder`` holds a run that is done: one whose weights another run may start from."""
    status = (_read(folder) or {"status": "not begun"})["status"]
    if status != "done":
        raise RunError(
            f"this run starts from the best weights of {folder}, which is {status}; start the sweep again into its"
            " folder (hydra.sweep.dir=<folder>) once that run is done"
        )


def _read(folder: Path) -> dict[str, object] | None:
    file = folder / "run.json"
    if not file.is_file():
        return None
    record = ledger.record(folder)
    metrics, status = record.get("metrics"), record.get("status")
    is_measured = isinstance(metrics, dict) and isinstance(metrics.get("test/acc1"), (int, float))
    if status is None or not isinstance(metrics, dict) or (status == "done" and not is_measured):
        raise ConfigError(f"{file} is damaged; delete it, and the run goes on from its last checkpoint")
    return record


def environment() -> dict[str, str]:
    """What a run was made with: versions, machine, the commit of the code."""
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "git": revision.describe(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **{name: version(name) for name in RECORDED_VERSIONS},
    }
