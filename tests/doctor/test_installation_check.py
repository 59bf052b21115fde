"""What the doctor says of packages and machines, good and bad."""

import resource
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from typing import NoReturn

import pytest
from packaging.requirements import Requirement

from deit.config.schema import Config
from deit.doctor import installation, machine
from deit.doctor.verdicts import Grade


def test_a_release_out_of_bounds_is_told_with_the_command_that_mends_it() -> None:
    old, missing, fine = installation.required_ones(
        [Requirement("numpy>=99"), Requirement("no-such-package>=1"), Requirement("torch>=2")]
    )
    assert old.grade is missing.grade is Grade.problem
    assert old.advice == "pip install 'numpy>=99'"
    assert "not installed" in missing.found
    assert fine.found.startswith("1 of 3 within their bounds (torch ")


@pytest.mark.parametrize(("release", "is_bad"), [("2.6.2", True), ("2.6.3", True), ("2.6.6", False)])
def test_releases_with_malware_are_known(release: str, is_bad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: release)
    assert [verdict.subject for verdict in installation.known_bad()] == ["lightning", "pytorch-lightning"] * is_bad


def test_a_library_that_does_not_go_with_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> NoReturn:
        raise RuntimeError(f"operator {name}::nms does not exist\nand more")

    monkeypatch.setattr(installation.importlib, "import_module", broken)
    (verdict,) = installation.working()
    assert verdict.grade is Grade.problem
    assert verdict.found == "cannot be imported (RuntimeError: operator torch::nms does not exist)"


def test_shared_memory_must_hold_what_loaders_have_ready(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four batches a loader, 256 images of 3 x 100 x 100 bytes in each: 4 x 4 x 7.68 MB."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage._replace(free=64 * 2**20))
    settings = ("optim.batch_size=512", "trainer.accumulate=2", "resolution.pixels=100")
    found = machine.shared_memory(config(*settings, "data.workers=4"))
    assert found.grade is Grade.problem
    assert "0.12 GB" in found.found and "--shm-size" in found.advice
    assert machine.shared_memory(config(*settings, "data.workers=1")).grade is Grade.ok
    assert machine.shared_memory(config(*settings, "data.workers=0")).grade is Grade.ok


def test_loaders_without_a_core_are_a_warning(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "num_cores", lambda: 8)
    shared = ("trainer=ddp", "trainer.devices=2")
    found = machine.cores(config(*shared, "data.workers=8"))
    assert found.grade is Grade.warning
    assert "data.workers=3" in found.advice
    assert machine.cores(config(*shared, "data.workers=3")).grade is Grade.ok


def test_a_low_limit_of_open_files_is_told_with_the_one_needed(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (512, 4096))
    found = machine.files(config("data.workers=8"))
    assert found.grade is Grade.problem
    assert found.advice == "ulimit -n 768"
    assert machine.files(config("data.workers=1")).grade is Grade.ok


def test_a_place_that_takes_no_files_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(**place: object) -> NoReturn:
        raise OSError(30, "Read-only file system")

    assert machine.disk(machine.LOGS).grade is not Grade.problem
    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    found = machine.disk(machine.LOGS)
    assert found.grade is Grade.problem
    assert "Read-only file system" in found.found


def test_programs_that_the_configuration_needs_are_looked_for(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    needs = config("trainer.compile=true", "resources=slurm_1x8")
    assert [(v.subject, v.grade) for v in machine.programs(needs)] == [
        ("git", Grade.warning),
        ("compiler", Grade.problem),
        ("SLURM", Grade.problem),
    ]
    assert len(list(machine.programs(config()))) == 1


def test_without_a_key_runs_of_wandb_are_offline(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installation.of_wandb(config()).grade is Grade.not_checked
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert installation.of_wandb(config("logger=wandb")).found == "WANDB_MODE=offline"
