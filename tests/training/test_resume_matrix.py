"""A run that is cut off at any stage, and resumed in any way, ends the same or is refused with what differs."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_resume import Killed, at_call, die

from alike import same
from deit.config import layout
from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.models.description import DESCRIPTION
from deit.training import checkpoints
from deit.training.modules import StudentModule
from deit.training.run import train

TINY = (
    "data=folder", "own=none", "teacher=none", "distill=none", "scale.depth=1", "optim.epochs=3", "optim.batch_size=8",
    "optim.warmup_epochs=0", "optim.adapt=false", "data.workers=0", "trainer.checkpoint_steps=1",
)  # fmt: skip
CLASSES, EACH = ("dawn", "day", "night"), 8
MOMENTS = {
    "before the best epoch": ("training_step", 2),
    "after the best epoch": ("validation_step", 2),
    "after training": ("on_train_end", 1),
    "in the test": ("test_step", 1),
}
WAYS = ("same folder", "moved folder", "resume=path", "requeued")
CHANGES = ("same", "grown", "shrunk", "relabelled")


def photograph(file: Path, number: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 90, (20, 20 + number % 5, 3), dtype=np.uint8)
    Image.fromarray(pixels + np.uint8(70 * (number % 3))).save(file)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same images, and what may have become of them by the time that a run is resumed."""
    roots = {change: tmp_path_factory.mktemp("photos") / change for change in CHANGES}
    for root in roots.values():
        for number in range(len(CLASSES) * EACH):
            photograph(root / CLASSES[number % 3] / f"{number:02d}.png", number)
    photograph(roots["grown"] / "day/97.png", 97)
    (roots["shrunk"] / "night/05.png").unlink()
    (roots["relabelled"] / "day/01.png").rename(roots["relabelled"] / "dawn/01.png")
    return roots


REFUSED = {
    "grown": r"1 image added: day/97.png",
    "shrunk": r"1 image gone: night/05.png",
    "relabelled": r"1 image relabelled: day/01.png -> dawn/01.png",
}


@pytest.fixture(scope="module", autouse=True)
def only_the_first_epoch_is_right() -> object:
    """The best epoch is the first, so that a run which forgets it tests the weights of a worse one."""
    evaluate = StudentModule.evaluate

    def spoilt(self: StudentModule, batch: object, stage: str) -> dict[str, torch.Tensor]:
        values = evaluate(self, batch, stage)  # pyright: ignore[reportArgumentType]
        if stage == "val":
            values["acc1"] = torch.full_like(values["acc1"], 100.0 if self.current_epoch == 0 else 0.0)
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentModule, "evaluate", spoilt)
        yield


@pytest.fixture(scope="module")
def run(config: Callable[..., Config], photos: dict[str, Path]) -> Callable[..., float]:
    def run(folder: Path, change: str = "same", *settings: str) -> float:
        layout.class_names.cache_clear()
        return train(config(*TINY, f"data.root={photos[change]}", *settings), folder, list(settings))

    return run


@pytest.fixture(scope="module")
def whole(run: Callable[..., float], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder) == 100.0, "what a sweeper optimises is the validation accuracy of the best epoch"
    return folder


@pytest.fixture(scope="module", params=MOMENTS)
def killed(
    request: pytest.FixtureRequest, run: Callable[..., float], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A moment and the folder of a run, job 7 of SLURM's, that was killed then."""
    folder, (name, call) = tmp_path_factory.mktemp("cut") / "run", MOMENTS[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")
        patch.setattr(StudentModule, name, at_call(call, die)(getattr(StudentModule, name)))
        with pytest.raises(Killed):
            run(folder, "same", "resume=never")
    return request.param, folder


@pytest.fixture
def cut(killed: tuple[str, Path], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The same; what a test changes in the folder is put back."""
    shutil.copytree(killed[1], tmp_path / "kept")
    yield killed
    shutil.rmtree(killed[1])
    shutil.copytree(tmp_path / "kept", killed[1])


def left(folder: Path) -> tuple[dict, list[dict[str, str]], dict[str, float]]:
    """What two runs must have in common: training state, rows without speeds, and the metrics."""
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    for key in ("callbacks", checkpoints.PROGRESS, DESCRIPTION):
        del last[key]
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{n: v for n, v in row.items() if n != "train/images_per_s"} for row in csv.DictReader(file)]
    return last, rows, json.loads((folder / "run.json").read_text())["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_resume_ends_the_same_or_is_refused(
    cut: tuple[str, Path],
    way: str,
    change: str,
    whole: Path,
    run: Callable[..., float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment, folder = cut
    settings = {"requeued": ["resume=never"], "resume=path": [f"resume={folder}/checkpoints/last.ckpt"]}.get(way, [])
    resumed = folder if way in ("same folder", "requeued") else tmp_path / "elsewhere"
    if way == "moved folder":
        folder.rename(resumed)
        folder.mkdir()
    if way == "requeued":
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    before = sorted(resumed.rglob("*"))
    expected = None if change == "same" else REFUSED[change]
    if way == "resume=path" and expected is None and moment in ("after training", "in the test"):
        expected = r"must be of a run that has epochs left, got one at the end of its 3 epochs.*optim.epochs=<more"
    if expected is not None:
        with pytest.raises(ConfigError, match=expected):
            run(resumed, change, *settings)
        assert sorted(resumed.rglob("*")) == before, "nothing is written"
    else:
        assert run(resumed, change, *settings) == 100.0
        assert same(left(resumed), left(whole))
