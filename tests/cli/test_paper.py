"""The paper's experiments as a user types them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_runs import TINY

import commands
from conftest import Outcome


def reported(folder: Path) -> Callable[[str], list[dict[str, str]]]:
    """Report ``folder/sweep``; the lines of a table by its name."""
    done = commands.run("report.py", "sweep", cwd=folder)
    assert done.returncode == 0, done.stderr

    def cells(table: str) -> list[dict[str, str]]:
        with (folder / f"sweep/report/tables/{table}-nano-digits.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return cells


@pytest.mark.slow
def test_a_small_grid_with_fine_tuning_fills_its_table(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    line = ["experiment=paper/table10_resolution", "model=deit_b", *TINY, "hydra.sweep.dir=sweep", "-m"]
    outcome = deit_train(*line)
    assert outcome.status == 0, outcome.said
    configs = [yaml.safe_load((tmp_path / f"sweep/{job}/config.yaml").read_text()) for job in range(4)]
    assert [c["init"] for c in configs] == [None, *[str(tmp_path / "sweep/0/checkpoints/best.ckpt")] * 3]
    assert configs[3]["name"] == "digits-deit_b-none-none-up_384"
    assert outcome.said.count("resampled: pos_embed") == 3
    again = deit_train(*line)
    assert again.said.count("is done already") == 4, again.said
    measured = {(cell["row"], cell["column"]) for cell in reported(tmp_path)("table10") if cell["ours"]}
    assert measured == {(row, column) for row in ("160", "224", "320", "384") for column in ("images/s", "ImageNet")}


@pytest.mark.slow
def test_three_runs_of_one_size_fill_all_that_is_measured_at_their_end(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = deit_train("cell=[none,b],[token,b],[two_tokens,b]", *TINY, "hydra.sweep.dir=sweep", "-m")
    assert outcome.status == 0, outcome.said
    cells = reported(tmp_path)
    assert {(cell["row"], cell["column"]) for cell in cells("table4") if not cell["ours"]} == {
        (name, name) for name in ("ground truth", "convnet", "DeiT", "class head", "distillation head", "both heads")
    }
    assert [cell["column"] for cell in cells("token_cosine") if cell["ours"]] == ["DeiT-B"] * 3
    assert [cell["row"] for cell in cells("table1") if cell["column"] == "images/s" and cell["ours"]] == ["DeiT-B"]
    speeds = [cell for cell in cells("table5") if cell["column"] == "images/s" and cell["ours"]]
    assert [cell["row"] for cell in speeds] == ["DeiT-B", "DeiT-B distilled"]
    assert all(cell["delta"] == "" for cell in speeds)
    assert (tmp_path / "sweep/report/plots/disagreement-nano-digits.svg").is_file()


def test_what_starts_from_another_job_is_refused_without_it(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    alone = deit_train("cell=[b,up_384]")
    assert alone.status == 2
    assert "init=sweep, but no job before cell=[b,up_384]" in alone.said
    sweep = deit_train("cell=[b,up_384],[b]", "-m")
    assert sweep.status == 2
    assert "1 of 2 jobs are invalid" in sweep.said
    assert list(tmp_path.iterdir()) == []


def test_what_starts_from_a_job_that_failed_fails_and_says_so(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = (*TINY, "distill=none", "cell=[ti],[ti,up_384]", "trainer.limit_batches=1", "hydra.sweep.dir=sweep")
    (tmp_path / "sweep/0/run.json").parent.mkdir(parents=True)
    (tmp_path / "sweep/0/run.json").write_text(
        json.dumps({"fingerprint": "another", "status": "failed", "metrics": {}})
    )
    outcome = deit_train(*settings, "-m")
    assert outcome.status != 0
    assert "#1 failed: this run starts from the best weights of" in outcome.said
    assert "sweep/0, which is failed" in outcome.said
    assert not (tmp_path / "sweep/1/run.json").exists()


def test_one_run_of_a_grid_says_that_it_is_one(deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train("experiment=paper/table1_models", *TINY, "trainer.limit_batches=1")
    assert outcome.status == 0, outcome.said
    assert "note: this is one run of a grid of 3; -m runs them all" in outcome.said
