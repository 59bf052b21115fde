"""Loggers that fail are left behind; metrics.csv is not one of them."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from deit.config.errors import RunError
from deit.training.csvlog import MetricsFile
from deit.training.guard import guarded
from small_disk import SmallDisk


class Broken(TensorBoardLogger):
    """TensorBoard whose server, disk or client is gone after the first two metrics."""

    asked = 0

    def log_metrics(self, *args: object, **kwargs: object) -> None:
        self.asked += 1
        if self.asked > 2:
            raise ConnectionError("the server is gone")


def test_the_first_failure_is_said_and_the_last_attempt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken(tmp_path, name="tensorboard", version="")
    logger = guarded(broken)
    assert logger is broken
    for step in range(6):
        logger.log_metrics({"loss": 1.0}, step)
    logger.save()
    logger.finalize("success")
    assert broken.asked == 3
    assert [record.message for record in caplog.records] == [
        "Broken stopped: ConnectionError: the server is gone; training goes on, and metrics.csv has everything"
    ]


def test_tensorboard_on_a_full_disk_ends_nothing(
    small_disk: Callable[[int], SmallDisk],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back what is there now
    disk = small_disk(64)
    logger = guarded(TensorBoardLogger(disk.folder, name="tensorboard", version="", flush_secs=0))
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    disk.fill()
    for step in range(1, 3000):
        logger.log_metrics({"loss": 1.0}, step)
    logger.save()
    logger.finalize("success")
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1, said
    assert said[0].startswith("TensorBoardLogger stopped: OSError: [Errno 28] No space left on device")
    assert "Traceback" not in capfd.readouterr().err, "of the thread that writes"


def test_metrics_csv_on_a_full_disk_names_itself_and_keeps_its_rows(
    small_disk: Callable[[int], SmallDisk],
) -> None:
    disk = small_disk(64)
    logger = MetricsFile(disk.folder / "metrics.csv")
    logger.resume_at(0)
    logger.log_metrics({"loss": 1.0}, step=9)
    disk.fill()
    before = logger.path.read_text()
    with pytest.raises(
        RunError,
        match=r"(metrics\.csv|\.checksums\.json) cannot be written \(No space left on device\); it is as it was",
    ):
        logger.log_metrics({"loss": 1.0}, step=19)
    assert logger.path.read_text() == before
    disk.filler.unlink()
    assert {path.name for path in disk.folder.iterdir()} == {"metrics.csv", ".checksums.json"}, "no draft is left"
