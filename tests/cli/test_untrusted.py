"""Files of strangers through every way in: refused by name, with exit status 2, and nothing in them runs."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_runs import TINY

from conftest import Outcome
from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.training import teachers

pytestmark = pytest.mark.slow
Train = Callable[..., Outcome]
PLAIN = (*TINY, "distill=none")


class Payload:
    """Makes a folder in the working directory when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


def evil(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": Payload(), "state_dict": Payload(), "global_step": 3}, path)
    return path


def refused(outcome: Outcome, folder: Path, *words: str) -> None:
    assert outcome.status == 2, outcome.said
    assert all(word in outcome.said for word in words), outcome.said
    assert "Traceback" not in outcome.said
    assert not (folder / "executed").exists()


@pytest.mark.parametrize(
    "typed",
    [
        ("init=evil.pt", "distill=none"),
        ("teacher.checkpoint=evil.pt",),
        ("resume=evil.pt", "distill=none"),
        ("init=old.pt", "distill=none"),
        ("resume=old.pt", "distill=none"),
    ],
    ids=" ".join,
)
def test_a_checkpoint_that_could_run_code(deit_train: Train, tmp_path: Path, typed: tuple[str, ...]) -> None:
    evil(tmp_path / "evil.pt")
    torch.save({"model": Payload()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    name = next(part for word in typed for part in word.split("=") if part.endswith(".pt"))
    refused(deit_train(*TINY, *typed), tmp_path, f"{name} was refused: reading it could run code", "mkdir")


def test_weights_are_no_checkpoint_to_go_on_from(deit_train: Train, tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}}, tmp_path / "weights.pt")
    refused(
        deit_train(*PLAIN, "resume=weights.pt"),
        tmp_path,
        "weights.pt is no checkpoint that a run can go on from",
        "init=<file>",
    )


def test_the_last_checkpoint_in_the_runs_own_folder(deit_train: Train, tmp_path: Path) -> None:
    evil(tmp_path / "run/checkpoints/last.ckpt")
    refused(deit_train(*PLAIN, "hydra.run.dir=run"), tmp_path, "last.ckpt was refused", "mkdir")


def test_the_best_checkpoint_of_a_run_that_goes_on(deit_train: Train, tmp_path: Path) -> None:
    """Whoever can write into the folder may have put another there since."""
    assert deit_train(*PLAIN, "hydra.run.dir=run").status == 0
    (tmp_path / "run/run.json").unlink()
    evil(tmp_path / "run/checkpoints/best.ckpt")
    refused(deit_train(*PLAIN, "hydra.run.dir=run"), tmp_path, "best.ckpt was refused", "mkdir")


def test_a_fitted_teacher(
    deit_train: Train, config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(*TINY)
    monkeypatch.chdir(tmp_path)
    file = evil(tmp_path / teachers.fitted_file(settings, open_dataset(settings.data)))
    refused(deit_train(*TINY), tmp_path, f"{file.name} is no safetensors file")


def test_a_bank(deit_train: Train, tmp_path: Path) -> None:
    (tmp_path / "bank/view_00000").mkdir(parents=True)
    for name in ("identity.json", "view_00000/decision.u16"):
        (tmp_path / "bank" / name).write_bytes(pickle.dumps(Payload()))
    settings = (*TINY, "distill=hard", "distill.bank_path=bank", "teacher.source=random")
    for mode in ("auto", "replay"):
        refused(deit_train(*settings, f"distill.bank={mode}"), tmp_path, "bank/identity.json is no identity of a bank")


def test_a_pack(deit_train: Train, tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 10 * number, np.uint8)).save(file)
    (tmp_path / "pack").mkdir()
    for name in ("identity.json", "sizes.i32", "pixels.u8"):
        (tmp_path / "pack" / name).write_bytes(pickle.dumps(Payload()))
    settings = (*PLAIN, "data=folder", "data.root=photos", "data.pack=28", "data.pack_path=pack")
    refused(deit_train(*settings), tmp_path, "data.pack_path=pack holds other images")
