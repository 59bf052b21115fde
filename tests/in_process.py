"""A command line typed within the process of the tests: all that src/*.py does but the work itself, in a fraction of a
second."""

import contextlib
import io
import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from deit.config import layout
from deit.config.schema import Config

SRC = Path(__file__).parents[1] / "src"
WORK = {
    "deit.training.run": "train",
    "deit.training.plan": "show",
    "deit.training.bank_actions": "work",
    "deit.benchmark.work": "work",
    "deit.doctor.work": "work",
    "deit.prediction.work": "work",
}
"""Where the entry scripts have their work done, and by what."""


@dataclass
class Typed:
    """What a command line led to."""

    status: int
    said: str
    begun: list[Config] = field(default_factory=list)
    """The configurations of which work would have begun."""


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typed]:
    """Type the name of a script and its arguments in a folder; a sweep that is accepted ends before its first job."""
    begun: list[Config] = []

    def begin(*arguments: object) -> float:
        begun.extend(one for one in arguments if isinstance(one, Config))
        return 0.0

    for module, name in WORK.items():
        stub = ModuleType(module)
        setattr(stub, name, begin)
        monkeypatch.setitem(sys.modules, module, stub)
    monkeypatch.setattr("deit.launch.sweep.Sweep._start", _end)

    def typed(folder: Path, script: str, *arguments: str) -> Typed:
        begun.clear()
        layout.class_names.cache_clear()  # by a relative path, which was another folder a moment ago
        said = io.StringIO()
        with _as_in_a_process_of_its_own(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            sys.argv = [str(SRC / script), *arguments]
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
        return Typed(status, said.getvalue(), list(begun))

    return typed


def _end(*_: object) -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def _as_in_a_process_of_its_own(folder: Path) -> Iterator[None]:
    """Put back what a command changes in its process: Hydra's state, the log, the environment."""
    hydra, settings, root = GlobalHydra.instance().hydra, HydraConfig.instance().cfg, logging.getLogger()
    handlers, level, arguments, environment = list(root.handlers), root.level, list(sys.argv), dict(os.environ)
    before = Path.cwd()
    GlobalHydra.instance().hydra = HydraConfig.instance().cfg = None
    try:
        os.chdir(folder)
        yield
    finally:
        os.chdir(before)
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, settings
        root.handlers[:], sys.argv = handlers, arguments
        root.setLevel(level)
        os.environ.clear()
        os.environ.update(environment)
