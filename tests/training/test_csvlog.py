"""metrics.csv: one row a step, no column lost, no row double after a resume."""

import csv
from pathlib import Path

from deit.training.csvlog import MetricsFile


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def started(path: Path, step: int = 0) -> MetricsFile:
    logger = MetricsFile(path)
    logger.resume_at(step)
    return logger


def test_what_is_logged_at_a_step_is_one_row(tmp_path: Path) -> None:
    logger = started(tmp_path / "metrics.csv")
    logger.log_metrics({"val/acc1": 50.0, "epoch": 0}, step=9)
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=9)
    logger.log_metrics({"val/acc1": 60.0, "epoch": 1}, step=19)
    assert read(logger.path) == [
        {"step": "9", "epoch": "0", "val/acc1": "50", "train/loss": "0.5"},
        {"step": "19", "epoch": "1", "val/acc1": "60", "train/loss": ""},
    ]


def test_a_name_that_comes_late_gets_a_column(tmp_path: Path) -> None:
    logger = started(tmp_path / "metrics.csv")
    for step in range(3):
        logger.log_metrics({f"name{step}": float(step)}, step=step)
    assert list(read(logger.path)[0]) == ["step", "epoch", "name0", "name1", "name2"]
    assert [row["step"] for row in read(logger.path)] == ["0", "1", "2"]


def test_a_resumed_run_forgets_what_it_will_do_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    first = started(path)
    for step in (9, 19, 29):
        first.log_metrics({"train/loss": step / 10}, step=step)
    second = started(path, step=20)
    assert [row["step"] for row in read(path)] == ["9", "19"]
    second.log_metrics({"train/loss": 7.0}, step=29)
    assert [row["train/loss"] for row in read(path)] == ["0.9", "1.9", "7"]
    started(path)
    assert read(path) == []
