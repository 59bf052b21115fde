"""Help is there in every way of starting Python: with -OO a module has no docstring."""

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
SCRIPTS = sorted(path.name for path in SRC.glob("*.py") if path.name != "train.py")  # whose help is Hydra's


def test_help_is_there_without_docstrings() -> None:
    done = subprocess.run(
        [sys.executable, "-OO", str(SRC / "runs.py"), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "python src/runs.py" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_takes_its_help_from_a_docstring(script: str) -> None:
    text = (SRC / script).read_text()
    assert "__doc__" not in text
    assert f"python src/{script}" in text.partition("USAGE")[2]
