"""src/report.py as a user calls it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import commands
from conftest import Outcome

Leave = Callable[..., Path]


def report(folder: Path, *arguments: str) -> Outcome:
    return Outcome(commands.run("report.py", *arguments, cwd=folder))


def test_a_half_finished_sweep_is_reported(leave_run: Leave, tmp_path: Path) -> None:
    for seed, acc in enumerate((96.0, 98.0)):
        leave_run(tmp_path / f"sweep/{seed}", "distill=none", f"seed={seed}", metrics={"test/acc1": acc})
    leave_run(tmp_path / "sweep/2", "distill=none", "model=deit_s", status="running")
    (leave_run(tmp_path / "sweep/3") / "run.json").write_text('{"schema": 1, "st')
    outcome = report(tmp_path, "sweep")
    assert outcome.status == 0, outcome.said
    assert outcome.said.splitlines() == [
        "3 runs: 2 done, 1 running",
        "not readable: sweep/3: run.json is damaged or cut off: Unterminated string starting at: line 1 column 15"
        " (char 14)",
        "Table 1: the models (nano, digits): 1 of 6 cells",
        "Table 3: distillation methods (nano, digits): 1 of 24 cells",
        "Table 5: throughput and accuracy (nano, digits): 2 of 60 cells",
        "files: sweep/report",
    ]
    left = {path.name for path in (tmp_path / "sweep/report").iterdir()}
    assert left == {"report.md", "report.html", "runs.csv", "tables", "plots"}
    assert "97.0 ± 12.7, n=2" in (tmp_path / "sweep/report/report.md").read_text()


def test_the_report_of_a_report_is_the_same(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "sweep/0", "distill=none", metrics={"test/acc1": 96.0})
    assert report(tmp_path, "sweep").status == 0
    first = (tmp_path / "sweep/report/report.html").read_bytes()
    assert report(tmp_path, "sweep").status == 0
    assert (tmp_path / "sweep/report/report.html").read_bytes() == first


def test_a_report_of_nothing_that_is_readable_is_written_and_fails(leave_run: Leave, tmp_path: Path) -> None:
    (leave_run(tmp_path / "sweep/0") / "config.yaml").unlink()
    outcome = report(tmp_path, "sweep")
    assert outcome.status == 1, outcome.said
    assert outcome.said.splitlines() == [
        "0 runs",
        "not readable: sweep/0: config.yaml is missing",
        "files: sweep/report",
        "the report is empty: none of the runs could be read, for the reasons above",
    ]


def test_what_cannot_be_written_is_told(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "sweep/0")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/plots").write_text("a file where a folder must be")
    outcome = report(tmp_path, "sweep", "output=out")
    assert outcome.status == 1
    assert "out/plots" in outcome.said
    assert "Traceback" not in outcome.said


def test_help_says_what_to_type(tmp_path: Path) -> None:
    outcome = report(tmp_path, "--help")
    assert outcome.status == 0
    assert "python src/report.py logs/sweeps/<sweep>" in outcome.said


def test_reading_waits_for_nothing_heavy() -> None:
    code = (
        "import sys, json, deit.report.files as f; from pathlib import Path;"
        "print(json.dumps([name for name in ('torch', 'numpy', 'matplotlib', 'scipy') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
