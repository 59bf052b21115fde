"""Fixtures that every test may use: composing configurations, running the command line."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import commands
from deit.config.arguments import quoted
from deit.config.compose import register, typed
from deit.config.schema import Config

pytest_plugins = ["left_runs", "in_process", "small_disk", "small_networks", "thread_counts"]
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
        inherited["NETRC"] = os.devnull  # where a key of Weights & Biases may be
        return Outcome(commands.run("train.py", *arguments, cwd=tmp_path, env=inherited | environment, timeout=timeout))

    return run
