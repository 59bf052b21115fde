"""What Weights & Biases is given, read back from the files of runs without a key."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb.util
from PIL import Image
from test_runs import TINY

from conftest import Outcome

TABLES = ("disagreement", "samples")


def records(run: Path) -> list[dict]:
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    line = [wandb.util.get_core_path(), "leet", "inspect", "--no-observability", "--json", "--run-file", str(file)]
    said = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout
    return [json.loads(text) for text in said.splitlines()]


def uploads(found: list[dict]) -> dict[str, Path]:
    """The files that a sync would upload with a run's tables: the name there, the path here."""
    artifacts = [record["artifact"] for record in found if record["type"] == "artifact"]
    return {entry["path"]: Path(entry["local_path"]) for one in artifacts for entry in one["manifest"]["contents"]}


def keys(found: list[dict]) -> set[str]:
    """What panels can be made of: metrics and tables by name."""
    history = [record["history"]["item"] for record in found if record["type"] == "history"]
    return {key.removesuffix("._type") for item in history for key in item}


@pytest.mark.slow
def test_each_job_of_a_sweep_is_a_run_of_its_own_in_the_sweeps_group(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = (*TINY, "logger=wandb", "seed=0,1", "hydra.sweep.dir=logs/mine", "-m")
    outcome = deit_train(*settings)
    assert outcome.status == 0, outcome.said
    assert outcome.said.count("wandb sync") == 4, "when each begins and when it ends"
    for job in ("0", "1"):
        folder = tmp_path / "logs/mine" / job
        found = records(folder)
        (run,) = (record["run"] for record in found if record["type"] == "run")
        assert (run["run_group"], run["run_id"]) == ("mine", f"mine-{job}")
        assert {"model=deit_ti", "distill=hard", "scale=nano", "data=digits"} <= set(run["tags"])
        (config,) = (record["config"]["update"] for record in found if record["type"] == "config")
        assert (config["seed"], config["optim"]["epochs"]) == (int(job), 2)
        updates = [record["summary"]["update"] for record in found if record["type"] == "summary"]
        summary = {name: value for update in updates for name, value in update.items()}  # wandb may join several
        metrics = json.loads((folder / "run.json").read_text())["metrics"]
        assert metrics.items() <= summary.items()
        assert [record["exit"]["exit_code"] for record in found if record["type"] == "exit"] == [0]
        files = uploads(found)
        assert all(folder in path.parents for path in files.values()), "a later sync finds them beside the run"
        disagreement, samples = (json.loads(files[f"{name}.table.json"].read_text()) for name in TABLES)
        assert disagreement["data"][0][2] == pytest.approx(100 - metrics["teacher/acc1"], abs=1e-3)
        assert samples["columns"][:5] == ["image", "index", "ground truth", "right", "teacher"]
        pictures = [Image.open(files[row[0]["path"]]) for row in samples["data"]]
        assert [picture.size for picture in pictures] == 32 * [(28, 28)]
        dashboard = pytest.importorskip("deit.report.dashboard", reason="the extra dashboard is not installed")
        shown = {dashboard.ACCURACY, dashboard.SPEED, *dashboard.HEADS, *dashboard.CURVES, *dashboard.TABLES, "epoch"}
        assert shown <= keys(found), "a panel of a name that nobody logs stays empty"
        assert all(key in config[group] for group, key in (one.split(".") for one in dashboard.COMPARED))
