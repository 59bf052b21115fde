"""run.json tells the truth from the first moment to the last."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.compose import fingerprint
from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.training.folder import RunFolder, write_atomically
from deit.training.preemption import Preempted


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def test_the_record_follows_the_run(config: Callable[..., Config], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", config(), ["seed=0"])
    before = record(run.path)
    assert (before["status"], before["overrides"], before["metrics"]) == ("running", ["seed=0"], {})
    assert before["fingerprint"] == fingerprint(config())
    assert {"torch", "timm", "git", "date", "python"} <= before["environment"].keys()
    assert "began" not in before
    run.begun()
    assert record(run.path)["began"].startswith("20")
    run.done({"test/acc1": 97.0}, {"fit_s": 1.0}, test_split="val")
    after = record(run.path)
    assert (after["status"], after["metrics"], after["test_split"]) == ("done", {"test/acc1": 97.0}, "val")


@pytest.mark.parametrize("error", [SystemExit(1), BrokenPipeError(), KeyboardInterrupt()])
def test_a_run_that_is_done_stays_done(config: Callable[..., Config], tmp_path: Path, error: BaseException) -> None:
    run = RunFolder(tmp_path / "run", config(), [])
    run.done({"test/acc1": 97.0}, {"fit_s": 1.0})
    run.stopped(error)  # while its table is printed
    assert (record(run.path)["status"], record(run.path)["error"]) == ("done", None)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("broken"), "failed", "ValueError: broken"),
        (ConfigError("wrong"), "failed", "ConfigError: wrong"),
        (KeyboardInterrupt(), "preempted", None),
        (Preempted(signal.SIGHUP), "preempted", None),
        (SystemExit(1), "failed", "SystemExit: 1"),  # a library that ends the process was not asked to
    ],
)
def test_why_a_run_ended_is_recorded(
    config: Callable[..., Config], tmp_path: Path, error: BaseException, status: str, said: str | None
) -> None:
    run = RunFolder(tmp_path, config(), [])
    run.stopped(error)
    assert (record(tmp_path)["status"], record(tmp_path)["error"]) == (status, said)


def test_a_folder_belongs_to_one_configuration(config: Callable[..., Config], tmp_path: Path) -> None:
    RunFolder(tmp_path, config(), [])
    RunFolder(tmp_path, config("logger=tensorboard"), [])
    with pytest.raises(ConfigError, match="holds a run of another configuration"):
        RunFolder(tmp_path, config("seed=1"), [])


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, "old")
    write_atomically(target, "new")
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
