"""ReaL and V2 come into the paper's tables from what src/evaluate.py left."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_evaluations import HEAD, RECORD, leave

from deit.report.contents import gather
from deit.report.folders import Run

Leave = Callable[..., Path]


def evaluation(
    checkpoints: list[str], *, limited: bool = False, date: str = "2026-01-01", acc1: float = 86.5
) -> object:
    """Of ReaL and a variant of V2; the second network is 30 points worse."""
    record = copy.deepcopy(RECORD)
    record |= {"limited": limited, "environment": {"date": date}}
    record["networks"] = [record["networks"][0] | {"checkpoint": checkpoint} for checkpoint in checkpoints]
    results = [
        {"heads": {"class": HEAD | {"acc1": acc1 - 30 * n}}, "class_acc1": [], "confusion": []}
        for n, _ in enumerate(checkpoints)
    ]
    sets = {"real": 0.0, "v2-matched-frequency": 10.0, "v2-top-images": 20.0}
    (one,) = record["sets"]
    size = len(one["comparison"]["disagreement"])
    assert size == len(one["comparison"]["names"])
    record["sets"] = [copy.deepcopy(one) | {"name": name, "networks": copy.deepcopy(results)} for name in sets]
    for images, less in zip(record["sets"], sets.values(), strict=True):
        for result in images["networks"]:
            result["heads"]["class"]["acc1"] -= less
    return json.loads(json.dumps(record))


@pytest.fixture
def measured(leave_run: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """The run logs/runs/a after evaluations, each a folder and a record."""
    monkeypatch.chdir(tmp_path)
    leave_run(Path("logs/runs/a"), "distill=none", "model=deit_b", metrics={"test/acc1": 80.0}, dry_run=False)

    def read(*evaluations: tuple[str, object]) -> Run:
        for folder, record in evaluations:
            leave(Path(folder), record)
        (run,) = gather([Path("logs")]).runs
        return run

    return read


@pytest.mark.parametrize("checkpoint", ["logs/runs/a", "logs/runs/a/checkpoints/best.ckpt"])
def test_an_evaluation_of_a_run_gives_it_figures(measured: Callable[..., Run], checkpoint: str) -> None:
    run = measured(("logs/evaluations/mine", evaluation([checkpoint, "other.pth"])))
    assert (run.figure("real/acc1"), run.figure("v2/acc1")) == (86.5, 76.5)
    assert run.figure("test/acc1") == 80.0


def test_a_run_and_its_evaluation_may_move_together(measured: Callable[..., Run]) -> None:
    assert measured(("logs/runs/a/evaluation", evaluation(["/elsewhere/runs/a"]))).figure("real/acc1") == 86.5


def test_the_weights_that_a_run_decides_by_count(measured: Callable[..., Run]) -> None:
    """They come first of raw and averaged ones."""
    assert measured(("logs/e", evaluation(["logs/runs/a", "logs/runs/a"]))).figure("real/acc1") == 86.5


def test_the_latest_evaluation_counts(measured: Callable[..., Run]) -> None:
    new = ("logs/a_new", evaluation(["logs/runs/a"], date="2026-02-02", acc1=90.0))
    assert measured(new, ("logs/b_old", evaluation(["logs/runs/a"]))).figure("real/acc1") == 90.0


@pytest.mark.parametrize(
    "record", [evaluation(["logs/runs/a/checkpoints/last.ckpt"]), evaluation(["logs/runs/a"], limited=True)]
)
def test_another_checkpoint_or_some_of_the_images_give_none(measured: Callable[..., Run], record: object) -> None:
    assert measured(("logs/e", record)).figure("real/acc1") is None


def test_the_papers_table_has_them(leave_run: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    leave_run(Path("logs/a"), "distill=none", "model=deit_b", metrics={"test/acc1": 80.0}, epochs=45, dry_run=False)
    leave(Path("logs/a/evaluation"), evaluation(["logs/a"]))
    table = next(filled for filled in gather([Path("logs")]).tables if filled.table.name == "table5")
    filled = {
        table.table.columns[c].label: cell.estimate.mean
        for (r, c), cell in table.cells.items()
        if cell.estimate is not None
    }
    assert (filled["ReaL"], filled["V2"]) == (86.5, 76.5)
