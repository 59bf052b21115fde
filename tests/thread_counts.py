"""CPU threads that PyTorch has within training steps, read in every process that a command starts."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

# Python imports sitecustomize before a program; this one wraps a method where its module is imported.
SPY = """
import importlib.util, json, os, sys

STEPS = {
    "deit.training.modules": ("StudentModule", "training_step"),
    "deit.distillation.targets": ("BankTargets", "promise"),
}

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name not in STEPS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            wrap(getattr(module, STEPS[name][0]), STEPS[name][1])
        spec.loader.exec_module = exec_module
        return spec

def wrap(kind, method):
    step = getattr(kind, method)
    def spied(*args, **kwargs):
        import torch
        seen = [torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("MKL_NUM_THREADS")]
        with open(os.path.join(os.environ["THREADS_SEEN"], f"{os.getpid()}.json"), "w") as file:
            json.dump(seen, file)
        return step(*args, **kwargs)
    setattr(kind, method, spied)

sys.meta_path.insert(0, Spy())
"""


@dataclass(frozen=True)
class ThreadCounts:
    """The spy of the processes that get ``environment``."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        paths = filter(None, (str(self.folder), os.environ.get("PYTHONPATH")))
        return {"PYTHONPATH": os.pathsep.join(paths), "THREADS_SEEN": str(self.folder)}

    def read(self) -> list[list[object]]:
        """PyTorch's threads, OMP_NUM_THREADS and MKL_NUM_THREADS within the last step of each process."""
        return [json.loads(file.read_text()) for file in sorted(self.folder.glob("*.json"))]


@pytest.fixture
def thread_counts(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> ThreadCounts:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path_factory.mktemp("threads")
    (folder / "sitecustomize.py").write_text(SPY)
    return ThreadCounts(folder)
