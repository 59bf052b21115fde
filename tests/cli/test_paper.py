"""The paper's experiments as a user types them."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_runs import TINY

from conftest import ROOT, Outcome


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
    done = subprocess.run(
        [sys.executable, str(ROOT / "src/report.py"), "sweep"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "sweep/report/tables/table10-nano-digits.csv").open(newline="") as file:
        measured = {row["row"] for row in csv.DictReader(file) if row["column"] == "ImageNet" and row["ours"]}
    assert measured == {"160", "224", "320", "384"}


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
    (tmp_path / "sweep/0/run.json").write_text(json.dumps({"fingerprint": "another", "status": "failed"}))
    outcome = deit_train(*settings, "-m")
    assert outcome.status != 0
    record = json.loads((tmp_path / "sweep/1/run.json").read_text())
    assert record["status"] == "failed"
    assert "sweep/0, which is failed" in record["error"]


def test_one_run_of_a_grid_says_that_it_is_one(deit_train: Callable[..., Outcome]) -> None:
    outcome = deit_train("experiment=paper/table1_models", *TINY, "trainer.limit_batches=1")
    assert outcome.status == 0, outcome.said
    assert "note: this is one run of a grid of 3; -m runs them all" in outcome.said
