"""A run at Weights & Biases that fails, and those that come after it in the same process."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wandb
from wandb.sdk.lib import wbauth

from deit.config.ledger import frozen_file
from deit.config.schema import Config
from deit.data.datamodule import KeyedData
from deit.data.sources import open_dataset
from deit.training.showcase import Showcase, Table
from deit.training.wandb_run import WandbRun, open_run, run_id


@pytest.fixture
def opened(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[str], WandbRun]]:
    """Open the run of a job, in a process that has no key."""
    for variable in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(variable)
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "kept"))
    monkeypatch.setenv("NETRC", os.devnull)
    caplog.set_level(logging.INFO, logger="deit")
    settings = config("logger=wandb", "distill=none")
    dataset = open_dataset(settings.data)
    data = KeyedData(dataset, settings.data, settings.augment, image_size=28, batch_size=8, seed=0)
    wbauth.unauthenticate_session()  # a process remembers a key that another test had
    wandb.teardown()  # and the settings of its first run
    yield lambda job: open_run(settings, tmp_path / "sweep" / job, Showcase(data))
    wandb.teardown()


def test_a_failure_is_said_once_and_the_next_job_has_a_run_of_its_own(
    opened: Callable[[str], WandbRun], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened("0")

    def broken(*_: object, **__: object) -> None:
        raise ConnectionResetError("the service is gone")

    monkeypatch.setattr(first.experiment, "log", broken)
    monkeypatch.setattr(first.experiment, "finish", broken)
    first.log_metrics({"val/acc1": 1.0}, step=1)
    first.log_metrics({"val/acc1": 2.0}, step=2)
    first.summarise({"test/acc1": 3.0})
    first.close()
    assert caplog.text.count("wandb failed") == 1
    assert "ConnectionResetError: the service is gone; training goes on, metrics.csv has everything" in caplog.text
    second = opened("1")
    second.log_metrics({"val/acc1": 4.0}, step=1)
    assert second.experiment.summary["val/acc1"] == 4.0
    assert second.experiment.id == "sweep-1"
    second.close()
    assert caplog.text.count("wandb failed") == 1


def test_a_table_that_cannot_be_logged_leaves_the_training_alone(
    opened: Callable[[str], WandbRun], caplog: pytest.LogCaptureFixture
) -> None:
    run = opened("0")
    run.showcase.tables["samples"] = Table(["one column"], [["two", "cells"]])
    run.summarise({"test/acc1": 3.0})
    run.close()
    assert caplog.text.count("wandb failed") == 1


def test_a_server_that_does_not_answer_makes_the_run_go_offline(
    opened: Callable[[str], WandbRun], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = wandb.init

    def unreachable(*args: object, mode: str, **settings: object) -> object:
        if mode == "online":
            raise wandb.errors.CommError("no network")
        return init(*args, mode=mode, **settings)

    monkeypatch.setenv("WANDB_API_KEY", 40 * "a")
    monkeypatch.setattr(wandb, "init", unreachable)
    run = opened("0")
    assert run.mode == "offline"
    assert "no network" in caplog.text
    assert "wandb is offline: it cannot be reached; to upload later: wandb sync" in caplog.text
    run.close()
    assert caplog.text.count("wandb sync") == 2, "when it begins and when it ends"


@pytest.mark.parametrize(
    ("variables", "mode", "said"),
    [
        ({}, "offline", "no WANDB_API_KEY"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": 40 * "a"}, "offline", "WANDB_MODE=offline"),
        ({"WANDB_API_KEY": "short"}, "offline", "WANDB_API_KEY invalid: API key must have 40+ characters"),
        ({"WANDB_MODE": "disabled"}, "disabled", "WANDB_MODE=disabled"),
    ],
)
def test_why_a_run_is_not_online_is_said(
    opened: Callable[[str], WandbRun],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    mode: str,
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = opened("0")
    assert run.mode == mode
    assert f"wandb is {mode}: {said}" in caplog.text
    run.close()
    assert "wandb failed" not in caplog.text


def test_a_job_belongs_to_its_sweep_and_a_single_run_to_none(opened: Callable[[str], WandbRun], tmp_path: Path) -> None:
    frozen = frozen_file(tmp_path / "sweep", "0")
    frozen.parent.mkdir(parents=True)
    frozen.touch()
    for job, group in (("0", "sweep"), ("1", "")):
        run = opened(job)
        assert (run.experiment.group or "") == group
        run.close()


def test_an_id_is_of_letters_that_the_service_takes() -> None:
    assert run_id(Path("/logs/my sweep/a#b:c")) == "my-sweep-a-b-c"
