"""Fixtures that every test may use: composing configurations, running the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from deit.config.command_line import quoted
from deit.config.compose import plain, register, typed
from deit.config.schema import Config

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run beside each other: more threads than cores make small networks many times slower."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def raw_config() -> Iterator[Callable[..., DictConfig]]:
    """Compose conf/train.yaml with overrides, as the command line would."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield lambda *overrides: compose("train", overrides=[quoted(o) for o in overrides])


@pytest.fixture(scope="session")
def config(raw_config: Callable[..., DictConfig]) -> Callable[..., Config]:
    """The same, as dataclasses."""
    return lambda *overrides: typed(raw_config(*overrides))


class Outcome:
    """What a command did: its exit status and everything it said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.said = done.returncode, done.stdout + done.stderr


@pytest.fixture
def deit_train(tmp_path: Path) -> Callable[..., Outcome]:
    """Run src/train.py in an empty folder, as a user would; without what a training session around it set."""

    def run(*arguments: str, timeout: float = 240, **environment: str) -> Outcome:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "SLURM"))}
        return Outcome(
            subprocess.run(
                [sys.executable, str(ROOT / "src/train.py"), *arguments],
                cwd=tmp_path,
                env=inherited | environment,
                capture_output=True,
                text=True,
                timeout=timeout,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        )

    return run


@pytest.fixture(scope="session")
def leave_run(config: Callable[..., Config]) -> Callable[..., Path]:
    """Write the folder that a run of some overrides would leave, with figures of the test's choice.

    ``metrics`` belong to a run that is done; ``facts`` are further fields of run.json.
    """

    def leave(
        folder: Path,
        *overrides: str,
        metrics: dict[str, float] | None = None,
        status: str = "done",
        epochs: int = 3,
        **facts: object,
    ) -> Path:
        (folder / "checkpoints").mkdir(parents=True)
        settings = plain(config(*overrides))
        (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        record = {"schema": 1, "status": status, "fingerprint": "", "overrides": list(overrides), "error": None}
        record |= {"metrics": metrics or {}, "timing": {"images_per_s": 100.0}, "environment": {"date": "2026-01-01"}}
        (folder / "run.json").write_text(json.dumps(record | facts))
        rows = [f"{9 * e},{e},{50 + e},{1 / (e + 1):.4f}" for e in range(epochs)]
        (folder / "metrics.csv").write_text("\n".join(["step,epoch,val/acc1,train/loss", *rows]) + "\n")
        return folder

    return leave
