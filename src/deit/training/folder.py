"""The folder that a run leaves: run.json, config.yaml, metrics.csv, train.log, checkpoints/."""

import json
import logging
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import cast

import yaml
from lightning.pytorch.utilities import rank_zero_only

from deit.config import compose, drafts, ledger, revision
from deit.config.errors import ConfigError, RunError
from deit.config.holding import held
from deit.config.schema import Config
from deit.config.sealed import record_text, write_atomically, write_listed
from deit.data.identity import Identity, digest_of
from deit.training.preemption import Preempted

log = logging.getLogger(__name__)

SCHEMA = 1
SHOWN = 12  # settings that differ, which a message names
LOCK, DATA, CHECKPOINTS, METRICS = ".lock", "data.json", "checkpoints", "metrics.csv"
DATE = "%Y-%m-%dT%H:%M:%S%z"
RECORDED_VERSIONS = ("torch", "torchvision", "timm", "lightning", "hydra-core", "numpy", "pillow")


def is_rank_zero() -> bool:
    """Whether this is the process of a run that writes and speaks for all."""
    return getattr(rank_zero_only, "rank", 0) == 0


class RunFolder:
    """Keeps run.json true from the first moment to the last; only rank zero writes.

    Args:
        path: The run's folder; made if need be.
        config: What runs, adapted to the data.
        overrides: What the user typed.
        fingerprints: Of the configuration as it was composed, before it was adapted: the first is recorded, each is
            recognised. Empty: that of ``config``.
        identity: Identity of the data, kept beside the record.
        is_anew: Whether the checkpoints and records of an earlier run are deleted.
        facts: Further fields of run.json, such as why settings were adapted.

    Raises:
        ConfigError: if the folder already holds a run of another configuration, or a damaged run.json, or another
            process works in it.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        overrides: list[str],
        *,
        fingerprints: Sequence[str] = (),
        identity: Identity | None = None,
        is_anew: bool = False,
        facts: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.path, self.data = path, None if identity is None else digest_of(identity)
        known = fingerprints or (compose.fingerprint(config),)
        text = yaml.safe_dump(compose.plain(config), sort_keys=False)
        self.record: dict[str, object] = {
            "schema": SCHEMA,
            "status": "running",
            "fingerprint": known[0],
            "overrides": overrides,
            **({"own": compose.plain(config.own)} if config.own.reasons else {}),
            **facts,
            "metrics": {},
            "timing": {},
            "environment": environment(),
            "error": None,
        }
        refuse_another_run(path, config, known)
        if is_rank_zero():
            self._lock = held(path / LOCK, what=f"on the run in {path}", another="hydra.run.dir=<folder>")
            for folder in (self.checkpoints, path / "tensorboard", path / "wandb"):
                drafts.refuse_link(folder)
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            for folder in (path, self.checkpoints):
                drafts.remove_abandoned(folder, older_s=0)
            if is_anew:
                self._forget()
            write_listed(path / "config.yaml", text)
            if identity is not None and read_identity(path) != identity:
                write_atomically(path / DATA, json.dumps(identity) + "\n")
            self._write()

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint that is measured on the test split."""
        return self.checkpoints / "best.ckpt"

    @property
    def metrics(self) -> dict[str, float]:
        """What run.json has of them: empty until the run is done."""
        return cast(dict[str, float], self.record["metrics"])

    def begun(self) -> None:
        """Record that training has begun: the data, the teacher and all ranks are there."""
        self.record["began"] = time.strftime(DATE)
        self._write()

    def done(self, metrics: dict[str, float], timing: dict[str, float], **facts: object) -> None:
        self.record.update(status="done", metrics=metrics, timing=timing, **facts)
        self._write()

    def stopped(self, error: BaseException) -> None:
        """Record why the run ended early: ``preempted`` by a signal, else ``failed``; a run that is done stays done."""
        if self.record["status"] == "done":
            return
        preempted = isinstance(error, (KeyboardInterrupt, Preempted))
        said = f"{type(error).__name__}: {error}"
        self.record.update(status="preempted" if preempted else "failed", error=None if preempted else said)
        try:
            self._write()
        except RunError as fault:
            log.error(fault)  # beside the error that ended the run, which is the one to raise

    def _forget(self) -> None:
        """Delete what an earlier run left, its record first: a kill leaves no record of what is not there."""
        for file in (self.path / "run.json", self.path / DATA, *self.checkpoints.glob("*.ckpt")):
            file.unlink(missing_ok=True)

    @rank_zero_only
    def _write(self) -> None:
        write_atomically(self.path / "run.json", record_text(self.record))


def refuse_another_run(folder: Path, config: Config, fingerprints: Sequence[str]) -> None:
    """Raise ConfigError, with what differs, if ``folder`` has the record of a run with none of ``fingerprints``."""
    earlier = _read(folder)
    if earlier is None or earlier.get("fingerprint") in fingerprints:
        return
    kept, now = folder / "config.yaml", yaml.safe_dump(compose.plain(config))
    apart = ledger.difference(kept.read_text(encoding="utf-8", errors="replace"), now) if kept.is_file() else []
    more = [f"and {len(apart) - SHOWN} more"] if len(apart) > SHOWN else []
    listed = "".join(f"\n  - {line}" for line in [*apart[:SHOWN], *more])
    raise ConfigError(
        f"{folder} holds a run of another configuration (see its config.yaml); pass another"
        f" hydra.run.dir=<folder>, or the settings of that run to continue it{listed}"
    )


def finished(folder: Path, *configs: Config) -> dict[str, float] | None:
    """The metrics of a run of one of ``configs`` that ``folder`` already holds, done; None if there is no such."""
    record = _read(folder)
    if record is None or record.get("status") != "done" or not is_recorded(folder, *configs):
        return None
    return cast(dict[str, float], record["metrics"])


def is_recorded(folder: Path, *configs: Config) -> bool:
    """Return True if the record in ``folder`` is of a run of one of ``configs``."""
    record = _read(folder)
    return record is not None and record.get("fingerprint") in [compose.fingerprint(config) for config in configs]


def attempt_of(folder: Path) -> dict[str, object]:
    """How and by whom the run in ``folder`` was last started, as its record has it; empty where that is not known."""
    attempt = ledger.record(folder).get("attempt")
    return attempt if isinstance(attempt, dict) else {}


def read_identity(folder: Path) -> Identity | None:
    """The identity of the data that the run in ``folder`` keeps; None where there is none that can be read."""
    try:
        found = json.loads((folder / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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
        "date": time.strftime(DATE),
        **{name: version(name) for name in RECORDED_VERSIONS},
    }
