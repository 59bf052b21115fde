"""What a run is, in the paper's terms, whatever its scale."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deit.report.facts import facts, is_shortened, meets, origin
from deit.report.folders import Run, read

Leave = Callable[..., Path]


def only(folder: Path) -> Run:
    ((run,), _) = read([folder])
    return run


@pytest.mark.parametrize(
    ("overrides", "pixels"),
    [
        ((), 224),  # 28 x 8
        (("resolution=384",), 384),
        (("resolution.pixels=48",), 384),
        (("scale=paper", "resolution=160"), 160),
        (("scale=paper",), 224),
    ],
)
def test_resolutions_are_the_papers(leave_run: Leave, tmp_path: Path, overrides: tuple[str, ...], pixels: int) -> None:
    run = only(leave_run(tmp_path / "run", *overrides))
    assert facts(run, [run])["paper_pixels"] == pixels


@pytest.mark.parametrize(
    ("overrides", "epochs", "shortened"),
    [
        ((), 300, False),  # nano scale has 45
        (("optim.epochs=60",), 400, False),  # 60 / 45 x 300
        (("optim.epochs=150",), 1000, False),
        (("optim.epochs=10",), 300, True),
        (("scale=paper", "optim.epochs=1000"), 1000, False),
        (("init=timm:deit_base_patch16_224.fb_in1k", "optim.epochs=5"), 300, False),
    ],
)
def test_epochs_are_the_papers(
    leave_run: Leave, tmp_path: Path, overrides: tuple[str, ...], epochs: int, shortened: bool
) -> None:
    run = only(leave_run(tmp_path / "run", *overrides))
    assert (facts(run, [run])["paper_epochs"], is_shortened(run)) == (epochs, shortened)


def test_a_fine_tuned_run_remembers_its_pretraining(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "sweep/0", "optim.epochs=150", "augment.mixup=0")
    leave_run(tmp_path / "sweep/1", "resolution=320", "init=elsewhere/sweep/0/checkpoints/best.ckpt")
    leave_run(tmp_path / "sweep/2", "resolution=384", f"init={tmp_path}/sweep/1/checkpoints/last.ckpt")
    runs, _ = read([tmp_path / "sweep"])
    known = facts(runs[2], runs)
    assert (known["finetuned"], known["paper_epochs"]) == (True, 1000)
    assert (known["augment.mixup"], known["pretraining.augment.mixup"]) == (0.8, 0)


def test_a_run_from_fresh_weights_is_its_own_pretraining(leave_run: Leave, tmp_path: Path) -> None:
    run = only(leave_run(tmp_path / "run"))
    known = facts(run, [run])
    assert (known["finetuned"], known["pretraining.augment.mixup"]) == (False, 0.8)


def test_weights_from_elsewhere_have_no_known_pretraining(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a/0")
    run = only(leave_run(tmp_path / "b", "init=c/0/checkpoints/best.ckpt"))
    runs, _ = read([tmp_path])
    assert origin("c/0/checkpoints/best.ckpt", runs) is None  # another sweep's job 0
    assert "pretraining.optim.kind" not in facts(run, runs)


def test_runs_that_start_from_each_other_end_the_search(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "s/0", "init=s/1/checkpoints/best.ckpt")
    leave_run(tmp_path / "s/1", "init=s/0/checkpoints/best.ckpt")
    runs, _ = read([tmp_path])
    assert "pretraining.optim.kind" not in facts(runs[0], runs)


@pytest.mark.parametrize(
    ("conditions", "met"),
    [
        ({"a": 1}, True),
        ({"a": True}, False),  # true is not 1
        ({"a": [3, 1]}, True),
        ({"a": 1, "b": "x"}, False),
        ({"b": {"not": "x"}}, True),
        ({"b": {"not": "y"}}, False),
        ({"c": None}, True),
        ({"d": None}, False),  # what is not known is not null
        ({"d": {"not": 1}}, False),
    ],
)
def test_conditions(conditions: dict[str, object], met: bool) -> None:
    assert meets({"a": 1, "b": "y", "c": None}, conditions) == met
