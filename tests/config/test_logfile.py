"""train.log on a full disk."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.logfile import LogFile
from small_disk import SmallDisk


def test_a_log_without_room_says_so_once_and_goes_on_when_there_is(
    small_disk: Callable[[int], SmallDisk], capsys: pytest.CaptureFixture[str]
) -> None:
    disk = small_disk(64)
    path = disk.folder / "train.log"
    log = logging.Logger("test")
    log.addHandler(handler := LogFile(path))
    log.warning("whole")
    disk.fill()
    for number in range(2000):  # more than the page has that its first line took
        log.warning(f"line {number}")
    assert capsys.readouterr().err == (
        f"{path} cannot be written ([Errno 28] No space left on device); what is said goes on here\n"
    )
    assert path.read_text().startswith("whole\n")
    disk.make_room()
    log.warning("again")
    handler.close()
    assert path.read_text().endswith("again\n")


def test_a_log_that_ends_without_room_ends_in_silence(
    small_disk: Callable[[int], SmallDisk], capfd: pytest.CaptureFixture[str]
) -> None:
    disk = small_disk(64)
    handler = LogFile(Path(disk.folder / "train.log"))
    disk.fill()
    handler.emit(logging.makeLogRecord({"msg": "lost"}))
    handler.close()
    assert capfd.readouterr().err.count("\n") == 1
