"""What the command line answers without training: help, the configuration, and how fast."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from conftest import ROOT, Outcome


def test_help_shows_groups_options_and_examples(deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train("--help")
    assert outcome.status == 0
    for word in ("python src/train.py model=deit_ti distill=hard teacher=regnety_160 -m", "regnety_080"):
        assert word in outcome.said
    for group in (
        "model",
        "teacher",
        "distill",
        "scale",
        "resolution",
        "data",
        "augment",
        "optim",
        "trainer",
        "logger",
    ):
        assert f"{group}: " in outcome.said


def test_the_configuration_is_shown_without_importing_torch(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    shown = yaml.safe_load(deit_train("resolution=384", "scale=paper", "--cfg", "job").said)
    assert shown["resolution"]["paper_pixels"] == 384
    assert list(tmp_path.iterdir()) == []
    probe = "import sys; sys.argv = ['train.py', '--cfg', 'job']; import runpy\n"
    probe += f"try: runpy.run_path({str(ROOT / 'src/train.py')!r}, run_name='__main__')\nexcept SystemExit: pass\n"
    probe += "assert not {'torch', 'lightning', 'timm', 'numpy', 'wandb'} & sys.modules.keys()"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT / "src"
    )
    assert done.returncode == 0, done.stderr


def test_a_site_has_its_own_defaults_and_the_command_line_the_last_word(tmp_path: Path) -> None:
    """conf/local/default.yaml, tried on a copy of conf/."""
    import shutil

    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("local", "__pycache__"))
    local = tmp_path / "conf/local/default.yaml"
    local.parent.mkdir()
    local.write_text(
        "# @package _global_\ndefaults:\n  - override /scale: paper\n  - override /data: imagenet\n"
        "  - override /logger: [tensorboard, wandb]\ndata:\n  root: /datasets/imagenet\n"
    )

    def shown(*arguments: str) -> dict[str, dict[str, object]]:
        command = [sys.executable, str(tmp_path / "src/train.py"), *arguments, "--cfg", "job"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return yaml.safe_load(done.stdout)

    site = shown()
    assert (site["scale"]["name"], site["data"]["root"]) == ("paper", "/datasets/imagenet")
    assert site["logger"]["tensorboard"]
    typed = shown("scale=nano", "data=digits", "data.root=null", "logger=csv")
    assert (typed["scale"]["name"], typed["data"]["name"], typed["data"]["root"]) == ("nano", "digits", None)
    assert not typed["logger"]["tensorboard"]
