"""How soon a command answers, and how soon a run trains: programs started one after the other, interleaved."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deit.benchmark import first_step
from deit.benchmark.request import Request
from deit.benchmark.results import Result, rows_of, times_as_fast
from deit.benchmark.rounds import Candidate, interleaved
from deit.config.errors import RunError
from deit.evaluation.throughput import Spent

ABOUT = """\
Seconds from launch: of a Python that imports Hydra and nothing else, of `src/train.py --cfg job`, and of a run
without a teacher up to the end of its first training step (imports, configuration, data, model, Trainer,
workers)."""

HYDRA, SHOWN, TRAINED = "import hydra", "train.py --cfg job", "train.py to the first step"
SHOWN_LINES = 3  # of a program that fails


def benchmark(overrides: Sequence[str], request: Request) -> Result:
    """Time the programs. overrides: settings of the run, as they were typed."""
    run = [*overrides, "distill=none", "teacher=none"]
    commands = {
        HYDRA: ["-c", "import hydra"],
        SHOWN: [str(first_step.TRAIN), "--cfg", "job", *overrides],
        TRAINED: ["-m", first_step.__name__, *run, "trainer.progress=false"],
    }
    with tempfile.TemporaryDirectory() as folder:
        candidates = [Candidate(name, _started(command, Path(folder))) for name, command in commands.items()]
        taken = interleaved("startup", candidates, rounds=request.rounds, seconds=request.seconds)
    return Result(
        what="startup",
        about=ABOUT,
        unit="start",
        rows=rows_of(taken),
        ratios=[times_as_fast(taken, HYDRA, name) for name in (SHOWN, TRAINED)],
        facts={"run": " ".join(run)},
    )


def _started(arguments: list[str], folder: Path) -> Callable[[float], Spent]:
    """Runs a Python program in ``folder`` to its end, once."""
    return lambda seconds: _start(arguments, folder)


def _start(arguments: list[str], folder: Path) -> Spent:
    said = folder / "said"
    before, began = _children(), time.perf_counter()
    with said.open("w+") as errors:
        # No pipes: a loader process that outlives the program by a moment would keep them open.
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            check=False,
        )
    spent = Spent(time.perf_counter() - began, _children() - before)
    if done.returncode:
        last = said.read_text().strip().splitlines()[-SHOWN_LINES:]
        raise RunError(f"{' '.join(arguments)} ended with status {done.returncode}: {' '.join(last)}")
    return spent


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system
