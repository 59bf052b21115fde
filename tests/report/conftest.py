"""A sweep of Table 3 at nano scale, whose figures can be told by eye."""

from collections.abc import Callable
from pathlib import Path

import pytest

METHODS = {
    "none": ("distill=none",),
    "soft": ("distill=soft", "distill.token=false"),
    "hard": ("distill=hard", "distill.token=false"),
    "token": ("distill=hard",),
}
STUDENTS = {
    "Ti 224": ("model=deit_ti",),
    "S 224": ("model=deit_s",),
    "B 224": ("model=deit_b",),
    "B ↑384": ("model=deit_b", "resolution=384", "optim.epochs=5"),
}


def accuracy(method: str, student: str, seed: int) -> float:
    """Ten points a method, one a student, and 0, 2, 4 for the seeds: a mean of 2 with an interval of ± 4.97."""
    return 10.0 * list(METHODS).index(method) + list(STUDENTS).index(student) + 2.0 * seed + 50


@pytest.fixture(scope="session")
def table3_sweep(leave_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 runs: four methods, four students, three seeds; those at 384 pixels start from those at 224."""
    sweep = tmp_path_factory.mktemp("table3") / "sweep"
    for m, method in enumerate(METHODS):
        for s, student in enumerate(STUDENTS):
            for seed in range(3):
                job = 12 * m + 3 * s + seed
                acc = accuracy(method, student, seed)
                metrics = {"test/acc1": acc, "test/acc1_class": acc - 1}
                if method == "token":
                    metrics |= {"test/acc1_distill": acc - 0.5, "test/acc1_fused": acc}
                if method != "none":
                    metrics |= {"teacher/acc1": 99.0, "test/agreement": acc}
                init = (f"init=sweep/{job - 3}/checkpoints/best.ckpt",) if student == "B ↑384" else ()
                overrides = (*METHODS[method], *STUDENTS[student], *init, f"seed={seed}")
                leave_run(sweep / str(job), *overrides, metrics=metrics, parameters=175_604, dry_run=False)
    return sweep
