"""src/evaluate.py as it is typed: a run's own figures, any number of devices, mistakes in one message."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_readme import photographs
from test_runs import TINY
from timm import create_model
from timm.data import ImageNetInfo

import commands
from conftest import ROOT, Outcome

SETTINGS = (*TINY, "trainer.threads=1", "data.workers=0")
TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


def deit_evaluate(folder: Path, *arguments: str) -> Outcome:
    return Outcome(commands.run("evaluate.py", *arguments, cwd=folder))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs on the same images, one with averaged weights."""
    folder = tmp_path_factory.mktemp("runs")
    for name, *more in (("one", "optim.ema=0.9"), ("other", "seed=1", "distill.fusion=logits")):
        commands.run("train.py", *SETTINGS, *more, f"hydra.run.dir={name}", cwd=folder, check=True)
    return folder


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


@pytest.mark.slow
def test_a_runs_checkpoint_has_the_accuracies_of_its_run(runs: Path) -> None:
    outcome = deit_evaluate(runs, "checkpoint=one")
    assert outcome.status == 0, outcome.said
    metrics = json.loads((runs / "one/run.json").read_text())["metrics"]
    found = evaluation(runs / "one/evaluation")
    raw, averaged = found["sets"][0]["networks"]
    for name, head in raw["heads"].items():
        assert head["acc1"] == pytest.approx(metrics[f"test/acc1_{name}"], abs=1e-4), "as far as float32 goes"
    assert raw["heads"]["fused"]["acc5"] == pytest.approx(metrics["test/acc5"], abs=1e-4)
    assert raw["heads"]["class"]["nll"] == pytest.approx(metrics["test/loss"], abs=1e-4)
    assert averaged["heads"]["fused"]["acc1"] == pytest.approx(metrics["test/acc1_ema"], abs=1e-4)
    cosine = json.loads((runs / "one/run.json").read_text())["token_cosine"]
    assert found["networks"][0]["token_cosine"] == pytest.approx(cosine, abs=1e-4)
    with np.load(runs / "one/predictions.npz") as own, np.load(runs / "one/evaluation/predictions/test.npz") as ours:
        assert (own["index"] == ours["index"]).all()
        for name in raw["heads"]:
            assert (own[name] == ours[f"one (raw): {name}"]).all()
    report = commands.run("report.py", "one", cwd=runs, check=True)
    assert "1 run: 1 done" in report.stdout
    assert "Evaluation: one/evaluation" in (runs / "one/report/report.html").read_text()


@pytest.mark.slow
def test_two_devices_find_what_one_finds_to_the_last_digit(runs: Path) -> None:
    settings = ("checkpoint=one,other", "batch_size=50")  # 359 images: batches that are not shared evenly
    two = (*TWO, "trainer.threads=1")
    for name, devices in (("alone", ("trainer.threads=1",)), ("together", two)):
        outcome = deit_evaluate(runs, *settings, *devices, f"output={name}")
        assert outcome.status == 0, outcome.said
    alone, together = evaluation(runs / "alone"), evaluation(runs / "together")
    for key in ("networks", "sets", "classes"):
        assert alone[key] == together[key]
    assert alone["sets"][0]["images"] == 359
    files = [runs / name / "predictions/test.npz" for name in ("alone", "together")]
    with np.load(files[0]) as one, np.load(files[1]) as other:
        assert one.files == other.files
        assert all((one[name] == other[name]).all() for name in one.files)


@pytest.mark.slow
def test_images_that_cannot_be_read_end_both_of_two_devices(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    photographs(tmp_path / "photos")
    folder = ("data=folder", "data.root=photos")
    outcome = deit_train(*SETTINGS, *folder, "data.train_fraction=1", "distill=none", "hydra.run.dir=mine")
    assert outcome.status == 0, outcome.said
    for path in sorted((tmp_path / "photos").rglob("*.jpg")):
        path.write_bytes(b"broken")
    outcome = deit_evaluate(tmp_path, "checkpoint=mine", *TWO, "batch_size=2")
    assert outcome.status == 1
    assert "cannot be read" in outcome.said
    assert "Traceback" not in outcome.said
    assert not (tmp_path / "mine/evaluation").exists()


@pytest.mark.slow
def test_an_official_deit_tiny_is_evaluated_from_its_file(tmp_path: Path) -> None:

    torch.manual_seed(0)
    net = create_model("deit_tiny_distilled_patch16_224")
    torch.save({"model": net.state_dict()}, tmp_path / "deit_tiny.pth")
    for label in range(1000):
        for split in ("train", "val")[: 1 + (label < 5)]:
            folder = tmp_path / "imagenet" / split / ImageNetInfo().index_to_label_name(label)
            folder.mkdir(parents=True)
            Image.new("RGB", (256, 240), (label % 256, 0, 0)).save(folder / "0.JPEG")
    words = (
        "checkpoint=deit_tiny.pth",
        "data=imagenet",
        "data.root=imagenet",
        "data.workers=0",
        "sets=val",
        "output=o",
    )
    outcome = deit_evaluate(tmp_path, *words)
    assert outcome.status == 0, outcome.said
    found = evaluation(tmp_path / "o")
    assert (found["networks"][0]["image_size"], found["networks"][0]["crop"]) == (224, 0.875)
    assert found["sets"][0]["images"] == 5
    assert found["classes"][0] == "tench"


def test_mistakes_end_in_one_message_before_anything_is_read(tmp_path: Path) -> None:
    outcome = deit_evaluate(tmp_path, "sets=tset", "batch_size=none")
    assert outcome.status == 2
    assert outcome.said.startswith("2 problems:")
    assert "Traceback" not in outcome.said
    assert list(tmp_path.iterdir()) == []


def test_the_usage_is_told() -> None:
    outcome = deit_evaluate(ROOT, "--help")
    assert outcome.status == 0
    assert "sets=val,real,v2,a,r,sketch" in outcome.said
