"""Whole runs through the command line, small enough for seconds: what they leave, say and continue."""

import csv
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import commands
from conftest import Outcome
from deit.models.files import read_metadata, read_state, save_weights

# The smallest thing that is still a run: a teacher is fitted, a student distilled, both measured.
TINY = (
    "optim.epochs=2", "optim.warmup_epochs=0", "scale.depth=1", "data.train_fraction=0.15",
    "teacher.fit.epochs=3", "teacher.nano_width=0.05",
)  # fmt: skip


def run_json(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_what_it_promises_and_says_where(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(*TINY, "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        ".lock",
        "run.json",
        "config.yaml",
        "metrics.csv",
        "predictions.npz",
        "data.json",
        ".checksums.json",
        "train.log",
        "checkpoints",
    }
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    record = run_json(out)
    assert (record["schema"], record["status"], record["error"], record["test_split"]) == (1, "done", None, "test")
    heads = {"test/acc1", "test/acc1_class", "test/acc1_distill", "test/acc1_fused", "val/acc1", "teacher/acc1"}
    assert heads <= record["metrics"].keys()
    assert all(0 <= record["metrics"][name] <= 100 for name in heads)
    assert record["metrics"]["test/acc1"] == record["metrics"]["test/acc1_fused"]
    timing = record["timing"]
    assert {"fit_s", "images_per_s", "teacher_s", "inference_images_per_s", "inference_batch"} == timing.keys()
    assert timing["inference_images_per_s"] > timing["images_per_s"], "a forward pass alone is less work"
    assert record["environment"]["device"]
    assert len(record["token_cosine"]) == 2, "as learnt, and after the one block"
    assert all(-1 <= cosine <= 1 for cosine in record["token_cosine"])
    with np.load(out / "predictions.npz", allow_pickle=False) as file:
        predictions = dict(file)
    for name in ("class", "distill", "fused", "fused_logits", "teacher"):
        accuracy = 100 * np.mean(predictions[name] == predictions["label"])
        key = "teacher/acc1" if name == "teacher" else f"test/acc1_{name}"
        assert accuracy == pytest.approx(record["metrics"][key], abs=1e-3)
    assert "optim.epochs=2" in record["overrides"]
    assert len(record["fingerprint"]) == 64
    assert record["skipped"] == {"count": 0, "files": []}
    assert yaml.safe_load((out / "config.yaml").read_text())["distill"]["method"] == "hard"
    epochs = [row for row in rows(out) if row["train/loss"]]
    saved = {name: torch.load(out / f"checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last")}
    assert saved["last"]["epoch"] == 2, "both are over"
    assert saved["best"]["epoch"] == max((float(row["val/acc1"]), int(row["epoch"])) for row in epochs)[1]
    assert [row["epoch"] for row in epochs] == ["0", "1"]
    for name in ("train/loss_label", "train/loss_teacher", "train/agreement", "train/lr", "train/images_per_s"):
        assert all(row[name] for row in epochs)
    for name in ("val/acc1_class", "val/acc1_distill", "val/acc1_fused", "val/agreement"):
        assert all(row[name] for row in epochs)
    for word in ("teacher", "class head", "distillation head", "fused", "parameters", "images/s", "files: "):
        assert word in outcome.said
    assert "epoch 2 of 2" in outcome.said, "long work shows progress where no bar can be drawn"


def test_checkpoints_hold_the_student_alone_and_load_without_running_code(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    deit_train(*TINY, "hydra.run.dir=out")
    saved = torch.load(tmp_path / "out/checkpoints/best.ckpt", weights_only=True)
    assert saved["state_dict"]
    assert all(name.startswith("student.net.") for name in saved["state_dict"])


@pytest.mark.slow
def test_a_teacher_is_fitted_once_and_found_again(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    first = deit_train(*TINY, "hydra.run.dir=one")
    assert "fitting teacher" in first.said
    second = deit_train(*TINY, "hydra.run.dir=two", "seed=1", "distill=soft", "model=deit_s")
    assert second.status == 0, second.said
    assert "fitting teacher" not in second.said
    other = deit_train(*TINY, "hydra.run.dir=three", "teacher.fit.seed=1")
    assert "fitting teacher" in other.said
    assert len(list((tmp_path / "logs/teachers").glob("*.safetensors"))) == 2


@pytest.mark.slow
def test_a_run_of_another_configuration_is_not_overwritten(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    deit_train(*TINY, "distill=none", "hydra.run.dir=out")
    before = (tmp_path / "out/run.json").read_bytes()
    outcome = deit_train(*TINY, "distill=none", "seed=1", "hydra.run.dir=out")
    assert outcome.status == 2
    assert "out holds a run of another configuration" in outcome.said
    assert (tmp_path / "out/run.json").read_bytes() == before


def test_a_killed_run_goes_on_where_it_stopped(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """A run killed between epochs ends like one that was not, to the bit, with no row missing and none double."""
    settings = (*TINY, "distill=none", "optim.epochs=6", "augment=deit")
    assert deit_train(*settings, "hydra.run.dir=whole").status == 0
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    last = tmp_path / "cut/checkpoints/last.ckpt"
    with commands.start("train.py", *settings, "hydra.run.dir=cut", cwd=tmp_path, **silent) as process:
        while not last.is_file() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert run_json(tmp_path / "cut")["status"] == "running"
    again = deit_train(*settings, "hydra.run.dir=cut")
    assert again.status == 0, again.said
    assert "resuming from cut/checkpoints/last.ckpt" in again.said.replace(str(tmp_path) + "/", "")
    weights = [torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("whole", "cut")]
    whole, cut = (saved["state_dict"] for saved in weights)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    timeless = [
        [{name: value for name, value in row.items() if name != "train/images_per_s"} for row in rows(tmp_path / name)]
        for name in ("whole", "cut")
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.slow
def test_the_comparison_with_a_teacher_is_measured_on_request(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = deit_train(*TINY, "distill=none", "distill.compare=true", "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    metrics = run_json(tmp_path / "out")["metrics"]
    assert {"test/agreement", "teacher/acc1"} <= metrics.keys()
    plain = deit_train(*TINY, "distill=none", "hydra.run.dir=plain")
    assert "is not used; distill.compare=true measures" in plain.said
    assert "test/agreement" not in run_json(tmp_path / "plain")["metrics"]


@pytest.mark.slow
def test_a_teacher_that_knows_nothing_stops_the_run(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    assert deit_train(*TINY, "hydra.run.dir=out").status == 0
    (fitted,) = (tmp_path / "logs/teachers").glob("*.safetensors")
    weights, metadata = read_state(fitted), read_metadata(fitted)
    silenced = {name: tensor * 0 if name.startswith("head.") else tensor for name, tensor in weights.items()}
    save_weights(tmp_path / "silent.safetensors", silenced, metadata)
    outcome = deit_train(*TINY, "teacher.checkpoint=silent.safetensors", "hydra.run.dir=stopped")
    assert outcome.status == 2
    assert "no better than chance" in outcome.said
    assert "Traceback" not in outcome.said.split("no better than chance")[1]
    assert run_json(tmp_path / "stopped")["status"] == "failed"


def test_a_dry_run_says_so_aloud(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(*TINY, "teacher.source=random", "trainer.limit_batches=2", "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    assert outcome.said.count("DRY RUN") == 3, "before, for either reason, and in the result"
    assert run_json(tmp_path / "out")["dry_run"] is True


@pytest.mark.parametrize("logger", [pytest.param("wandb", marks=pytest.mark.slow), "[tensorboard,wandb]"])
def test_loggers_write_beside_metrics_csv(deit_train: Callable[..., Outcome], tmp_path: Path, logger: str) -> None:
    outcome = deit_train(*TINY, "distill=none", f"logger={logger}", "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"metrics.csv"} | {name for name in ("tensorboard", "wandb") if name in logger} <= written
    if "wandb" in logger:
        assert "wandb sync" in outcome.said, "offline without a key, and how to upload"
        assert list((tmp_path / "out/wandb").glob("**/run-*.wandb"))


def photographs(root: Path, *folders: str, count: int = 6) -> None:
    """A tree of JPEGs of several sizes in which a class is a colour."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            colour = tuple(40 + 170 * (number % 3 == channel) + 5 * i for channel in range(3))
            Image.new("RGB", (50 + 7 * i, 40 + 3 * i), colour).save(root / folder / f"{i}.jpg")


@pytest.mark.slow
def test_a_folder_of_photographs_trains_and_fine_tunes_at_another_resolution(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    photographs(tmp_path / "photos", "blue", "green", "red")
    settings = ("data=folder", "data.root=photos", "distill=none", "scale.depth=1", "optim.batch_size=4")
    short = ("optim.epochs=2", "optim.warmup_epochs=0", "optim.min_lr=1e-6")
    outcome = deit_train(*settings, *short, "hydra.run.dir=small")
    assert outcome.status == 0, outcome.said
    start = "init=small/checkpoints/best.ckpt"
    larger = deit_train(*settings, *short, start, "resolution=384", "hydra.run.dir=large")
    assert larger.status == 0, larger.said
    assert "resampled" in larger.said
    positions = torch.load(tmp_path / "large/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert positions["student.net.pos_embed"].shape == (1, 1 + 12 * 12, 48)


@pytest.mark.slow
def test_two_runs_that_want_one_teacher_fit_it_once(tmp_path: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": tmp_path}
    runs = [commands.start("train.py", *TINY, f"seed={seed}", f"hydra.run.dir=run{seed}", **pipes) for seed in range(2)]
    said = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("fitting teacher" in text for text in said) == 1
    assert len(list((tmp_path / "logs/teachers").glob("*.safetensors"))) == 1
