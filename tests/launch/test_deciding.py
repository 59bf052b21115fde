"""How `own=auto` is decided for runs and sweeps: by what lies in the caches, once, and then by the folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from omegaconf import DictConfig
from PIL import Image

from conftest import Outcome
from deit.config.own_data import OwnChoice
from deit.config.preflight import Grid
from deit.config.schema import Config
from deit.launch import own_data

STUDENT, PLAIN = "deit_tiny_distilled_patch16_224-b40b3cf7.pth", "deit_tiny_patch16_224-a1311bcf.pth"
TEACHER = "efficientnet_b0_ra-3dd342df.pth"
# Without the statistics of batches, which random weights would have to learn first.
QUICK = ("teacher.name=deit_tiny_patch16_224.fb_in1k", "teacher.fit.epochs=4", "teacher.fit.batch_size=4")
NOWHERE = "http://127.0.0.1:9"  # nothing listens to the discard port


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A machine without network; puts published files, by their names, where torch.hub keeps them."""
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)

    def put(*names: str) -> None:
        own_data._unobtainable.cache_clear()
        for file in folder.iterdir():
            file.unlink()
        for name in names:
            (folder / name).touch()

    put()
    yield put
    own_data._unobtainable.cache_clear()


@pytest.fixture
def photos(tmp_path: Path) -> str:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (120, 90)).save(tmp_path / "photos" / name / "1.jpg")
    return str(tmp_path / "photos")


Decide = Callable[..., OwnChoice]


@pytest.fixture
def decide(config: Callable[..., Config], photos: str) -> Decide:
    def decide(*settings: str) -> OwnChoice:
        given = ("data=folder", f"data.root={photos}", *settings)
        return own_data.decided(config(*given), given).choice

    return decide


def test_the_caches_say_what_photographs_start_from(cached: Callable[..., None], decide: Decide) -> None:
    assert decide() is OwnChoice.scratch
    cached(PLAIN)
    assert decide() is OwnChoice.finetune_alone
    cached(PLAIN, STUDENT, TEACHER)
    assert decide() is OwnChoice.finetune


@pytest.mark.parametrize(
    ("settings", "choice"),
    [
        (("scale=nano",), OwnChoice.scratch),  # which has no published weights
        (("distill=none",), OwnChoice.finetune),
        (("teacher=regnety_160",), OwnChoice.finetune_alone),  # whose weights are not here
        (("teacher=regnety_160", "distill=hard"), OwnChoice.scratch),  # but it was asked for
        (("model=deit_s",), OwnChoice.scratch),
        (("model=deit_s", "scale=paper"), OwnChoice.plain),
        (("init=timm:deit_tiny_patch16_224.fb_in1k",), OwnChoice.none),
        (("cell=[ti]",), OwnChoice.none),
    ],
    ids=str,
)
def test_what_the_user_set_is_heeded(
    cached: Callable[..., None], decide: Decide, settings: tuple[str, ...], choice: OwnChoice
) -> None:
    cached(PLAIN, STUDENT, TEACHER)
    assert decide(*settings) is choice


def test_a_sweep_decides_once_and_for_all_its_jobs(
    cached: Callable[..., None], raw_config: Callable[..., DictConfig], photos: str, tmp_path: Path
) -> None:
    jobs = [["data=folder", f"data.root={photos}", f"model={model}"] for model in ("deit_ti", "deit_s")]

    def settle() -> list[str]:
        grid = Grid(jobs, [raw_config(*job) for job in jobs])
        own_data.keep(tmp_path, own_data.settle_sweep(grid, tmp_path))
        assert grid.problems == []
        return [str(job.own.choice) for job in grid.composed]

    (tmp_path / ".preflight").mkdir()
    cached(PLAIN, STUDENT, TEACHER)
    assert settle() == ["scratch", "scratch"], "there are no weights for one of them"
    cached(PLAIN, STUDENT, TEACHER, PLAIN.replace("tiny", "small"))
    assert settle() == ["scratch", "scratch"], "the sweep was begun without"


def photographs(folder: Path) -> None:
    """Forty of two classes, light and dark, larger than nano scale's images."""
    for number in range(40):
        path = folder / ("day", "night")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 80, (90, 120, 3)) + 150 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.mark.slow
def test_photographs_are_fine_tuned_and_stay_so(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """Files in the layout of the published ones, random inside; the second start finds neither them nor a network."""
    photographs(tmp_path / "photos")
    caches = tmp_path / "torch/hub/checkpoints"
    caches.mkdir(parents=True)
    torch.save({"model": timm.create_model("deit_tiny_distilled_patch16_224").state_dict()}, caches / STUDENT)
    torch.save({"model": timm.create_model("deit_tiny_patch16_224").state_dict()}, caches / PLAIN)
    away = {"TORCH_HOME": str(tmp_path / "torch"), "HF_HUB_CACHE": str(tmp_path / "hf"), "HF_ENDPOINT": NOWHERE}
    typed = ("data=folder", "data.root=photos", "hydra.run.dir=out", "optim.epochs=2", *QUICK)
    first = deit_train(*typed, **away)
    assert first.status == 0, first.said
    assert "own=finetune: student and teacher start from published weights" in first.said
    assert "initialised: head.weight, head.bias, head_dist.weight, head_dist.bias" in first.said
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["own"]["choice"] == "finetune"
    assert record["own"]["reasons"][0].startswith("40 images of 2 classes, 20 to 20 each, short side 90 pixels")
    for file in caches.iterdir():
        file.unlink()
    again = deit_train(*typed, **away)
    assert again.status == 0, again.said
    assert "is done already" in again.said, "another recipe would be another run"
