"""What is typed for src/export.py, before any network is read."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.words import read
from deit.export import request
from deit.export.request import EXAMPLES, Format, Request

WORDS = ["checkpoint=a.pth", "output=out"]


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody has logged in."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("deit.export.hub.get_token", lambda: None)
    monkeypatch.chdir(tmp_path)


def problems(*words: str) -> str:
    return "\n".join(request.problems(read(Request, [*WORDS, *words], EXAMPLES)))


def test_timms_layout_is_the_default() -> None:
    asked = read(Request, WORDS, EXAMPLES)
    assert asked == Request(checkpoint="a.pth", output=Path("out"), format=Format.safetensors, ema=None)
    assert problems() == ""


def test_a_push_needs_a_token_and_a_repository_before_anything_is_done() -> None:
    assert "push=me/mine needs a token that may write; type hf auth login, or export HF_TOKEN=" in problems(
        "push=me/mine"
    )
    said = problems("push=mine")
    assert "push=mine is no repository; possible: <user or organisation>/<name>" in said
    assert "needs a token" in said


def test_a_push_with_a_token_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deit.export.hub.get_token", lambda: "hf_x")
    assert problems("push=me/mine", "private=false") == ""


def test_what_would_have_no_effect_is_refused() -> None:
    assert "pass format=onnx, or leave preprocess out" in problems("preprocess=true")
    assert problems("preprocess=true", "format=all") == ""
    assert "pass push=<user>/<name>, or leave private out" in problems("private=false")


@pytest.mark.parametrize(
    ("format", "needed"), [("onnx", True), ("all", True), ("torch", False), ("safetensors", False)]
)
def test_missing_packages_are_named_with_what_to_type(
    format: str, needed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Callable[..., object] = importlib.util.find_spec
    missing = ("onnxscript", "onnxruntime")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    said = f"format={format} needs onnxscript, onnxruntime; type pip install onnxscript onnxruntime"
    assert (problems(f"format={format}") == said) == needed


def test_everything_wrong_is_told_at_once_without_torch(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("")
    words = ["checkpoint=a.pth", "output=taken", "push=mine", "preprocess=true"]
    code = (
        "import sys; from deit.export import request\n"
        "try: request.taken(sys.argv[1:], '')\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    for part in ("preprocess=true puts", "push=mine is no repository", "output=taken holds files that are no earlier"):
        assert part in done.stderr
