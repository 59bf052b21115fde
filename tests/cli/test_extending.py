"""docs/extending.md, followed from its first line to its last in a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from test_readme import lines_of, photographs
from test_runs import TINY

from conftest import ROOT

PAGE = (ROOT / "docs/extending.md").read_text()
STEPS = re.findall(r"(?:`([^`\n]+)`[^`\n]*\n\n)?```(\w*)\n(.*?)```", PAGE, re.S)  # a file's name, its kind, its content
PHOTOGRAPHS = (
    "data.train_fraction=1",
    "data.decode=reference",
    "distill=none",
)  # few, and the copy has to compile warps
BESIDE = {  # what a short run of a command needs that others do not
    "data=shells": PHOTOGRAPHS,
    "data=beans": PHOTOGRAPHS,
    "augment=gentle": ("data.decode=reference",),
    "teacher=resnet34": ("teacher.nano_width=null", "teacher.fit.epochs=12"),  # one that has learnt something
    "experiment=few_images": ("seed=0",),
}


def changed(text: str, hunk: str) -> str:
    """``text`` with what ``hunk`` takes away and adds; what it shows of the rest must stand there once."""
    lines = hunk.splitlines()
    before = "\n".join(line[1:] for line in lines if not line.startswith("+")) + "\n"
    after = "\n".join(line[1:] for line in lines if not line.startswith("-")) + "\n"
    assert text.count(before) == 1, hunk
    return text.replace(before, after)


def follow(folder: Path, run: Callable[[list[str]], None]) -> None:
    """Lay the page's files, make its changes and ``run`` its commands in a copy of the repository, in their order."""
    for name in ("conf", "src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("local", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, kind, content in STEPS:
        file = folder / name
        if kind == "diff":
            for hunk in content.split("@@\n"):
                file.write_text(changed(file.read_text(), hunk))
        elif kind:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        else:
            for line in content.splitlines():
                run(shlex.split(re.sub(r"\s{2,}#.*", "", line))[1:])


def done_in(folder: Path, arguments: list[str]) -> str:
    """What Python says to ``arguments`` in the copy, which imports its own modules."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    line = [sys.executable, *arguments]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_what_the_page_adds_composes(tmp_path: Path) -> None:
    composed = []

    def compose(arguments: list[str]) -> None:
        if arguments[0] == "src/train.py":
            composed.append(done_in(tmp_path, [*arguments, "--cfg", "job"]))

    follow(tmp_path, compose)
    assert len(composed) == len(lines_of("train", [PAGE])) >= 12
    for words in ("name: deit_m", "name: resnet34.tv_in1k", "path: AI-Lab-Makerere/beans", "m6", "loss: focal"):
        assert any(words in said for said in composed), words


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path: Path) -> None:
    """With shorter runs, and data of the names that it gives."""
    datasets = pytest.importorskip("datasets")
    photographs(tmp_path / "photos")
    found = sorted((tmp_path / "photos").rglob("*.jpg"))
    table = {"image": [str(file) for file in found], "labels": [number % 3 for number in range(len(found))]}
    rows = datasets.Dataset.from_dict(table).cast_column("image", datasets.Image())
    rows.map(lambda row: row).save_to_disk(tmp_path / "AI-Lab-Makerere/beans")
    values, labels = load_digits(return_X_y=True)
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays/images.npz", images=(values * 15).astype(np.uint8).reshape(-1, 8, 8), labels=labels)

    def run(arguments: list[str]) -> None:
        beside = [setting for word in arguments for setting in BESIDE.get(word, ())]
        done_in(tmp_path, [*arguments, *((*TINY, *beside) if arguments[0] == "src/train.py" else ("-n", "0"))])

    follow(tmp_path, run)
    last = max((tmp_path / "logs/runs").iterdir(), key=lambda path: path.stat().st_mtime)
    assert "test/reciprocal_rank" in (last / "run.json").read_text()
    assert list(last.rglob("events.out.tfevents.*")), "the site's logger"
