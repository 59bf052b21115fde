"""What the environment knows stays out of everything that a run and its report leave."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_runs import TINY

from conftest import ROOT, Outcome
from in_process import Typed

SECRETS = {
    name: f"planted-{number}-{name.lower()}"
    for number, name in enumerate(
        ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_PASSWORD", "GITHUB_TOKEN", "MY_API_KEY")
    )
}


def leaks(folder: Path) -> list[str]:
    """Files below ``folder`` that hold a planted secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS.values())]


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_no_secret_is_left_anywhere(deit_train: Callable[..., Outcome], tmp_path: Path, fails: bool) -> None:
    """With every logger on; also where the run fails, whose error is kept, and in sweeps, which keep configurations."""
    settings = [*TINY, "distill=none", "logger=[tensorboard,wandb]", "seed=0,1", "hydra.sweep.dir=sweep", "-m"]
    if fails:
        settings += ["optim=sgd", "optim.lr=1e9", "optim.scale_lr=false"]
    outcome = deit_train(*settings, **SECRETS, WANDB_MODE="offline")
    assert (outcome.status == 0) is not fails, outcome.said
    assert not any(secret in outcome.said for secret in SECRETS.values())
    command = [sys.executable, str(ROOT / "src/report.py"), "sweep"]
    subprocess.run(command, cwd=tmp_path, env=SECRETS | {"PYTHONPATH": str(ROOT / "src")}, check=True)
    assert (tmp_path / "sweep/report/report.html").is_file()
    assert list(tmp_path.glob("sweep/*/wandb")) != []
    assert leaks(tmp_path) == []


@pytest.mark.parametrize("line", ["name: ${oc.env:HF_TOKEN}", "defaults: [override /data: '${oc.env:HF_TOKEN}']"])
def test_a_file_of_a_strangers_reads_no_secret(
    type_in: Callable[..., Typed], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRETS["HF_TOKEN"])
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/theirs.yaml").write_text(f"# @package _global_\n{line}\n")
    typed = type_in(tmp_path, "train.py", "--config-dir=.", "experiment=theirs")
    assert (typed.status, typed.begun) == (2, [])
    assert "free of secrets" in typed.said
    assert SECRETS["HF_TOKEN"] not in typed.said
    assert [path.name for path in tmp_path.iterdir()] == ["experiment"]


def test_a_planted_secret_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(SECRETS["HF_TOKEN"])
    assert leaks(tmp_path) == [str(tmp_path / "run.json")]
