"""Folders as runs leave them, written in no time: one by one, and a sweep of Table 3 at nano scale."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import yaml

from deit.config.compose import plain
from deit.config.schema import Config

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
def leave_run(config: Callable[..., Config]) -> Callable[..., Path]:
    """Write the folder that a run of some overrides would leave, with figures of the test's choice.

    ``metrics`` belong to a run that is done; ``predictions`` are columns of its file; ``facts`` are further fields of
    run.json.
    """

    @functools.cache
    def composed(*overrides: str) -> dict[str, object]:
        return cast(dict[str, object], plain(config(*overrides)))

    def leave(
        folder: Path,
        *overrides: str,
        metrics: dict[str, float] | None = None,
        status: str = "done",
        epochs: int = 3,
        predictions: dict[str, list[int]] | None = None,
        **facts: object,
    ) -> Path:
        (folder / "checkpoints").mkdir(parents=True)
        later = [override for override in overrides if override.startswith(("seed=", "init="))]
        settings = composed(*(override for override in overrides if override not in later))
        settings = settings | {override[:4]: yaml.safe_load(override[5:]) for override in later}
        (folder / "config.yaml").write_text(yaml.dump(settings, Dumper=yaml.CSafeDumper, sort_keys=False))
        record = {"schema": 1, "status": status, "fingerprint": "", "overrides": list(overrides), "error": None}
        timing = {"images_per_s": 100.0, "inference_images_per_s": 300.0, "inference_batch": 256}
        environment = {"date": "2026-01-01", "device": "Abacus"}
        record |= {"metrics": metrics or {}, "timing": timing, "environment": environment}
        (folder / "run.json").write_text(json.dumps(record | facts))
        rows = [f"{9 * e},{e},{50 + e},{1 / (e + 1):.4f}" for e in range(epochs)]
        (folder / "metrics.csv").write_text("\n".join(["step,epoch,val/acc1,train/loss", *rows]) + "\n")
        if predictions is not None:
            columns = {name: np.array(values, np.int16) for name, values in predictions.items()}
            np.savez(folder / "predictions.npz", index=np.arange(len(predictions["label"])), **columns)
        return folder

    return leave


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
