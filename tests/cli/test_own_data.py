"""docs/own-data.md, as someone with a folder of photographs would do it."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

import commands
from conftest import ROOT

PAGE = (ROOT / "docs/own-data.md").read_text()
FIVE = [line.strip() for line in re.findall(r"^make setup\n(?:python .*\n)+", PAGE, re.M)[0].splitlines()]
LESS = ["own.steps=400", "own.teacher_steps=100"]  # a fifth of the time, enough for two classes
UPRIGHT, TURNED = 1, 6  # EXIF's orientations: as stored, to be turned by a quarter


def lay_photographs(folder: Path, *, each: int, seed: int) -> None:
    """JPEGs of 96 pixels and more cut from the two photographs that scikit-learn brings; some grey, some turned."""
    draw = np.random.default_rng(seed)
    for name, pixels in zip(("temple", "flower"), load_sample_images().images, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            side = int(draw.integers(96, 160))
            top, left = (int(draw.integers(0, length - side)) for length in pixels.shape[:2])
            image = Image.fromarray(pixels[top : top + side, left : left + side])
            if number % 5 == 0:
                image = ImageOps.grayscale(image)
            exif = Image.Exif()
            exif[0x0112] = TURNED if number % 4 == 0 else UPRIGHT
            image.save(folder / name / f"{number}.jpg", exif=exif)


def test_there_are_five_commands() -> None:
    assert [shlex.split(line)[:2][-1] for line in FIVE] == [
        "setup",
        "src/doctor.py",
        "src/train.py",
        "src/evaluate.py",
        "src/predict.py",
    ]
    assert re.search(r"^setup:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.slow
def test_a_folder_of_photographs_becomes_predictions(tmp_path: Path) -> None:
    lay_photographs(tmp_path / "photos", each=40, seed=0)
    lay_photographs(tmp_path / "new", each=2, seed=1)
    (tmp_path / "photos/temple/broken.jpg").write_bytes((tmp_path / "photos/temple/1.jpg").read_bytes()[:600])
    (tmp_path / "photos/temple/notes.txt").write_text("where I took them")
    said = {}
    for line in FIVE[1:]:
        script, *arguments = shlex.split(line)[1:]
        less = LESS if script == "src/train.py" else []
        done = commands.run(Path(script).name, *arguments, *less, cwd=tmp_path, timeout=600)
        said[script] = done.stdout + done.stderr
        assert done.returncode == 0, said[script]
    assert "photos/temple/broken.jpg" in said["src/doctor.py"]
    assert "1 .txt" in said["src/train.py"]
    record = json.loads((tmp_path / "logs/runs/photos/run.json").read_text())
    assert record["own"]["choice"] in ("scratch", "finetune", "finetune_alone"), "as the machine has weights or not"
    assert record["metrics"]["test/acc1"] > 75, "two photographs are told apart"
    assert "temple" in said["src/predict.py"]
    assert len(list((tmp_path / "logs/attention").rglob("*.png"))) == 4
