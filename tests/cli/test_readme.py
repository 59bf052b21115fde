"""The commands of the README and of docs/ do what is said there."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from test_runs import TINY
from timm.models.deit import VisionTransformerDistilled

import commands
from conftest import ROOT, Outcome
from deit.config.mistakes import GROUPS, known_keys
from deit.prediction import request
from deit.prediction.work import work

TEXT = (ROOT / "README.md").read_text().replace("\\\n", " ")
DOCS = {page.name: page.read_text().replace("\\\n", " ") for page in sorted((ROOT / "docs").glob("*.md"))}
FOLLOWED = ("extending.md", "study.md")  # test_extending.py and test_study.py go through all of them
PAGES = [TEXT, *(page for name, page in DOCS.items() if name not in FOLLOWED)]


def lines_of(script: str, pages: Sequence[str]) -> list[str]:
    """The lines of ``pages`` that call src/``script``."""
    found = [line for page in pages for line in re.findall(rf"^python src/{script}\.py.*$", page, re.M)]
    return list(dict.fromkeys(found))


def commands_of(script: str) -> list[list[str]]:
    """Arguments of each command that calls src/``script``."""
    return [shlex.split(re.sub(r"\s{2,}#.*", "", line))[2:] for line in lines_of(script, PAGES)]


COMMANDS, OF_THE_BANK, OF_REPORTS = commands_of("train"), commands_of("bank"), commands_of("report")
BENCHMARKS, LISTINGS, CHECKS = commands_of("benchmark"), commands_of("runs"), commands_of("doctor")
OF_THE_WALK = "checkpoint=logs/runs/photos"  # test_own_data.py goes through those
EVALUATIONS = [command for command in commands_of("evaluate") if OF_THE_WALK not in command]
PREDICTIONS = [command for command in commands_of("predict") if OF_THE_WALK not in command]
PIPES = [line for page in PAGES for line in re.findall(r"^.* \| python src/predict\.py.*$", page, re.M)]
EXPORTS = commands_of("export")
SCRIPTS = ("train", "bank", "report", "benchmark", "runs", "doctor", "evaluate", "predict", "export")
ELSEWHERE = {
    "torchrun --nproc-per-node=2 src/train.py": "run in test_processes.py",
    "wandb sync": "needs a key",
}
NOT_HERE = ("imagenet", "best.ckpt", "timm:")  # data, runs and published weights that a test does not have
GRIDS = ("experiment=paper/",)  # run in test_paper.py, one of them
PROGRAM = re.compile(r"python|pip|torchrun|wandb|hf|srun|sbatch|git|curl")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_the_readme_is_short_and_has_commands() -> None:
    assert len(TEXT.splitlines()) <= 200
    assert len(COMMANDS) >= 7


def test_every_page_is_linked_and_every_link_leads_to_a_page() -> None:
    assert [name for name in DOCS if f"(docs/{name})" not in TEXT] == []
    for folder, page in [(ROOT, TEXT), *((ROOT / "docs", page) for page in DOCS.values())]:
        for link in re.findall(r"\]\(((?!https?:)[^)#]+)", page):
            assert (folder / link).exists(), link


def test_every_command_that_is_shown_is_run_by_a_test_or_needs_what_none_has() -> None:
    known = {*(line for script in SCRIPTS for line in lines_of(script, PAGES)), *PIPES}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for page in PAGES:
        blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", page, re.M | re.S)
        for line in (line for kind, block in blocks if not kind for line in block.splitlines()):
            first, _, rest = line.strip().partition(" ")
            if first == "make":
                assert rest.split()[0] in targets, line
            elif PROGRAM.match(first) or re.search(r"\w src/\w+\.py", line):
                assert line in known or any(line.startswith(begun) for begun in ELSEWHERE), line


def test_the_python_that_is_shown_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = {"label": [0, 1, 2], "class": [0, 0, 2], "teacher": [0, 1, 1]}
    np.savez("predictions.npz", **classes)  # pyright: ignore[reportArgumentType] - no name is allow_pickle
    torch.save({"state_dict": {"head.bias": torch.ones(2)}, "args": argparse.Namespace(lr=1)}, "theirs.ckpt")
    names: dict[str, object] = {"np": np}
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page, re.S):
            exec(block, names)
    assert names["error_where_the_teacher_is_right"] == 0.5  # of the first two images
    assert torch.load("theirs-tensors.pth", weights_only=True)["model"]["head.bias"].tolist() == [1, 1]


def test_every_setting_that_is_given_a_value_exists() -> None:
    setting = re.compile(rf"(?<![\w./-])(?:{'|'.join(GROUPS)})\.[a-z_.]+(?==)")
    named = {key for page in (TEXT, *DOCS.values()) for key in setting.findall(page)}
    assert len(named) > 40
    assert named <= set(known_keys())


def photographs(folder: Path) -> None:
    """Sixty of two classes, light and dark."""
    for number in range(60):
        path = folder / ("day", "night")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 100, (40, 50, 3)) + 100 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_runs(deit_train: Callable[..., Outcome], tmp_path: Path, command: list[str]) -> None:
    if any(word in argument for argument in command for word in (*NOT_HERE, *GRIDS)):
        outcome = deit_train(*command, "--cfg", "job")
        assert outcome.status == 0, outcome.said
        assert (yaml.safe_load(outcome.said)["scale"]["name"] == "paper") == ("imagenet" in " ".join(command))
        return
    if any("resources=slurm_" in argument for argument in command):
        outcome = deit_train(*command, PATH="/nowhere")
        assert outcome.said.endswith("needs SLURM's sbatch, which is not on this machine; pass resources=local\n")
        return
    if "plan=true" in command:
        outcome = deit_train(*command)
        assert outcome.status == 0, outcome.said
        assert "estimate" in outcome.said.lower()
        return
    if "data=fashion_mnist" in command and not any(DEBIAN.glob("*")):
        pytest.skip(f"{DEBIAN} is not installed (Debian's package dataset-fashion-mnist)")
    if "data.root=photos" in command:
        photographs(tmp_path / "photos")
    less = [setting for setting in TINY if "data=fashion_mnist" not in command or "fraction" not in setting]
    if "data.root=photos" in command:
        less.append("distill=none")  # of so few images a teacher learns nothing in its three epochs, and is refused
    outcome = deit_train(*command, *less, *(["data.train_fraction=0.01"] if "data=fashion_mnist" in command else []))
    assert outcome.status == 0, outcome.said


@pytest.mark.slow
def test_the_commands_of_the_bank_run_in_their_order(tmp_path: Path) -> None:
    assert len(OF_THE_BANK) == 5
    for command in OF_THE_BANK:
        settings = [] if command == ["list"] else [s for s in TINY]
        done = commands.run("bank.py", *command, *settings, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", BENCHMARKS, ids=" ".join)
def test_each_benchmark_is_measured_or_composed(tmp_path: Path, command: list[str]) -> None:
    """Those of data that are not here, or at a scale that takes minutes, are composed."""
    long = any(word in argument for argument in command for word in (*NOT_HERE, "scale=paper", "what=all"))
    less = ["--cfg", "job"] if long else ["rounds=1", "seconds=0", *TINY]
    done = commands.run("benchmark.py", *command, *less, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("scale:" if long else "samples: ") in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", CHECKS, ids=" ".join)
def test_the_doctor_finds_nothing_or_is_composed(tmp_path: Path, command: list[str]) -> None:
    """Those of data that are not here are composed; the rest looks at data alone, the whole is in test_doctor.py."""
    composed = any(word in argument for argument in command for word in NOT_HERE)
    photographs(tmp_path / "photos")
    asks = any(setting.startswith("what=") for setting in command)
    less = ["--cfg", "job"] if composed else [] if asks else ["what=data"]
    expected = "scale:" if composed else "length: " if "speed" in " ".join(command) else "images decoded: all"
    done = commands.run("doctor.py", *command, *less, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout


@pytest.mark.slow
def test_the_commands_that_predict_run(
    deit_train: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of published weights are read and no more."""
    photographs(tmp_path / "photos")
    outcome = deit_train(*TINY, "hydra.run.dir=logs/runs/<run>")
    assert outcome.status == 0, outcome.said
    monkeypatch.chdir(tmp_path)
    shutil.copy("photos/day/0.jpg", "photo.jpg")
    official = timm.create_model("deit_tiny_distilled_patch16_224")
    torch.save({"model": official.state_dict()}, "deit_tiny_distilled_patch16_224.pth")
    assert len(PREDICTIONS) >= 6
    for command in PREDICTIONS:
        asked = request.taken(command, None)
        assert any("timm:" in word for word in command) or work(asked) == 0, command
    assert len(list(Path("logs/attention").rglob("*.png"))) == 61, "those of a folder, and the README's one"
    assert len(json.loads(Path("logs/predictions.json").read_text())) == 60
    for line in PIPES:
        line = line.replace("python src/predict.py", f"{sys.executable} {ROOT}/src/predict.py")
        done = subprocess.run(
            ["bash", "-c", line.replace("<run>", "'<run>'")], capture_output=True, text=True, check=True
        )
        assert "photos/day/0.jpg,class,1," in done.stdout or done.stdout.startswith("standard input\n")


def test_the_commands_of_reports_run(leave_run: Callable[..., Path], tmp_path: Path) -> None:
    for folder in ("logs/sweeps/<sweep>/0", "logs/runs/a"):
        leave_run(tmp_path / folder, "distill=none", metrics={"test/acc1": 90.0})
    assert len(OF_REPORTS) >= 2
    for command in OF_REPORTS:
        if "wandb=true" in command:  # needs a key; tests/report/test_upload.py runs it before a stand-in
            continue
        done = commands.run("report.py", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "logs/sweeps/<sweep>/report/report.html").is_file()
    assert (tmp_path / "logs/report/report.html").is_file()


@pytest.mark.slow
def test_the_commands_that_evaluate_run_or_are_composed(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """Those of ImageNet and of published weights are composed; the rest looks at two small runs."""
    for name in ("<run>", "<one>", "<other>"):
        outcome = deit_train(*TINY, "distill=none", f"hydra.run.dir=logs/runs/{name}")
        assert outcome.status == 0, outcome.said
    assert len(EVALUATIONS) >= 5
    for label in range(10):
        file = tmp_path / f"new/{label}/a.png"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(file)
    for command in EVALUATIONS:
        composed = any(word in argument for argument in command for word in ("imagenet", "timm:"))
        done = commands.run("evaluate.py", *command, *(["--cfg", "job"] if composed else []), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert ("scale:" if composed else "top-1 ") in done.stdout
    assert (tmp_path / "logs/runs/<run>/evaluation/evaluation.html").is_file()


@pytest.mark.slow
def test_the_commands_that_export_run(tmp_path: Path) -> None:
    """In their order, but for a push, which ends at the token that is not there."""
    assert len(EXPORTS) >= 4
    net = VisionTransformerDistilled(img_size=32, patch_size=16, depth=1, embed_dim=192, num_classes=1000)
    for name in ("deit_tiny_distilled.pth", "logs/runs/<run>/checkpoints/best.ckpt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save({"model": net.state_dict()}, tmp_path / name)
    for command in EXPORTS:
        alone = os.environ | {"HF_TOKEN": "", "HF_HOME": str(tmp_path)}
        done = commands.run("export.py", *command, cwd=tmp_path, env=alone)
        if any(word.startswith("push=") for word in command):
            assert (done.returncode, "needs a token" in done.stderr) == (2, True), done.stderr
        elif not any(word in argument for argument in command for word in NOT_HERE[2:]):
            assert done.returncode == 0, done.stderr


def test_the_commands_that_list_runs_run(leave_run: Callable[..., Path], tmp_path: Path) -> None:
    for folder in ("logs/sweeps/<sweep>/0", "logs/runs/a"):
        leave_run(tmp_path / folder, "distill=none", metrics={"test/acc1": 90.0})
    assert len(LISTINGS) == 2
    for command in LISTINGS:
        done = commands.run("runs.py", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "done" in done.stdout


def test_the_site_defaults_shown_are_valid(config: Callable[..., object]) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    values = yaml.safe_load(example)
    choices = [item for entry in values.pop("defaults") for item in entry.items()]
    overrides = [f"{group.removeprefix('override /')}={option}" for group, option in choices]
    config(*overrides, *(f"{group}.{key}={value}" for group, keys in values.items() for key, value in keys.items()))


def test_every_option_that_is_named_exists() -> None:
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.M)
    assert len(table) == 12
    for group, options in table:
        exist = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        named = set(re.findall(r"`(\w+)`", options.split(";")[0]))
        assert named - {"_080", "_120", "_160", "b5"} <= exist, group
