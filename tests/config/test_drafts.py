"""Links that somebody planted are never followed, and killed processes leave nothing for ever."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deit.config.drafts import SUFFIX, append_to, draft, remove_abandoned, replace_text
from deit.config.errors import ConfigError, RunError
from deit.config.holding import held
from deit.config.ledger import freeze
from deit.config.schema import Config
from deit.data import packing
from deit.data.locking import only_one
from deit.distillation import identity as bank_identity
from deit.doctor import work as verdicts
from deit.models.files import save_weights
from deit.prediction.writing import opened
from deit.report.contents import gather
from deit.report.files import write
from deit.training.checkpoints import CheckpointFiles
from deit.training.folder import RunFolder, write_atomically
from in_process import Typed


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.write_text("mine")
    return path


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: replace_text(path, "theirs"),
    "record": lambda path: write_atomically(path, "theirs"),
    "weights": lambda path: save_weights(path, {"w": torch.zeros(2)}, {}),
    "checkpoint": lambda path: CheckpointFiles().save_checkpoint({"w": torch.zeros(2)}, path),
    "verdicts of the doctor": lambda path: verdicts.keep(path, []),
    "predictions": lambda path: predict_into(path),
}


def predict_into(path: Path) -> None:
    with opened(path) as stream:
        stream.write("theirs")


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_takes_the_place_of_a_link(tmp_path: Path, target: Path, writer: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    planted = ("file.safetensors", f".file.safetensors.{os.getpid()}", f".file.safetensors.{os.getpid()}.tmp")
    for name in (*planted, ".file.safetensors.tmp"):
        (folder / name).symlink_to(target)
    WRITERS[writer](folder / "file.safetensors")
    assert target.read_text() == "mine"
    assert not (folder / "file.safetensors").is_symlink()
    assert not list(folder.glob(f"*{SUFFIX}"))


def test_no_log_and_no_lock_follows_a_link(tmp_path: Path, target: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        append_to(link)
    with pytest.raises(RunError, match="symbolic links"), only_one(link, "anything"):
        pass
    with pytest.raises(ConfigError, match="got a link"):
        held(link, what="here", another="folder")
    assert target.read_text() == "mine"


def test_a_run_is_refused_before_its_log_would_follow_a_link(
    type_in: Callable[..., Typed], tmp_path: Path, target: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/train.log").symlink_to(target)
    typed = type_in(tmp_path, "train.py", "distill=none", "hydra.run.dir=run")
    assert typed.status == 2
    assert "run/train.log must be a file, got a link" in typed.said
    assert target.read_text() == "mine"


def test_a_folder_of_checkpoints_that_leads_elsewhere_is_refused(config: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="checkpoints must not be a link out of its folder"):
        RunFolder(tmp_path / "run", config(), [])


def test_a_draft_that_fails_leaves_the_file_as_it_was(target: Path) -> None:
    with pytest.raises(KeyError), draft(target) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert target.read_text() == "mine"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_drafts_of_killed_processes_are_removed_by_the_next(config: Callable[..., Config], tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for left in (run / f".0{SUFFIX}", run / f"checkpoints/.0{SUFFIX}"):
        left.write_text("half")
    RunFolder(run, config(), [])
    assert not list(run.rglob(f"*{SUFFIX}"))


def abandoned(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / f".0{SUFFIX}"
    path.write_text("half")
    os.utime(path, (0, time.time() - 2 * 24 * 3600))
    return path


MAKERS: dict[str, Callable[[Path], object]] = {
    "bank": lambda folder: bank_identity.claim(folder, {"images": 1}),
    "pack": lambda folder: packing.claim(folder, {"images": 1}),
    "sweep": lambda folder: freeze(folder, ["seed: 0"]),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_old_drafts_in_the_folder_of_a_bank_a_pack_and_a_sweep_are_removed(tmp_path: Path, maker: str) -> None:
    left = abandoned(tmp_path / maker)
    MAKERS[maker](tmp_path / maker)
    assert not left.exists()


def test_a_report_does_not_follow_a_folder_that_leads_elsewhere(leave_run: Callable[..., Path], tmp_path: Path) -> None:
    leave_run(tmp_path / "sweep/0", "distill=none", metrics={"test/acc1": 90.0})
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/old.svg").write_text("mine")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/plots").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="plots must not be a link out of its folder"):
        write(gather([tmp_path / "sweep"]), tmp_path / "report")
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["old.svg"]


def test_in_a_shared_folder_only_old_drafts_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / f".0{SUFFIX}", tmp_path / f".1{SUFFIX}"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, time.time() - 2 * 24 * 3600))
    remove_abandoned(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
