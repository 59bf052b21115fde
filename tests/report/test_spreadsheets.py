"""CSV files: a line a run, a line a cell."""

import csv
import shlex
from collections.abc import Callable
from pathlib import Path

from deit.report.contents import gather
from deit.report.folders import read
from deit.report.spreadsheets import command, runs_csv, table_csv

Leave = Callable[..., Path]


def test_a_line_a_run(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "s/0", "seed=1", metrics={"test/acc1": 90.5}, parameters=7)
    leave_run(tmp_path / "s/1", "seed=2", status="failed", error="=1+1")
    done, failed = csv.DictReader(runs_csv(gather([tmp_path / "s"])).splitlines())
    assert (done["run"], done["status"], done["seed"], done["test/acc1"]) == ("s/0", "done", "1", "90.5")
    assert (done["parameters"], done["timing/images_per_s"], done["paper_pixels"]) == ("7", "100.0", "224")
    assert done["command"] == "python src/train.py seed=1"
    assert (failed["test/acc1"], failed["error"]) == ("", "'=1+1")  # no formula


def test_a_line_a_cell(leave_run: Leave, tmp_path: Path) -> None:
    for seed, acc in enumerate((70.0, 72.0, 74.0)):
        leave_run(tmp_path / f"s/{seed}", "distill=none", f"seed={seed}", metrics={"test/acc1": acc})
    (table,) = (one for one in gather([tmp_path / "s"]).tables if one.table.name == "table3")
    lines = list(csv.DictReader(table_csv(table).splitlines()))
    assert len(lines) == 24
    first = lines[0]
    assert (first["row"], first["column"], first["paper"]) == ("no distillation", "Ti 224", "72.2")
    assert (first["ours"], first["seeds"], first["half_width"][:6]) == ("72.0", "3", "4.9682")
    assert (first["delta"][:4], first["missing"], first["runs"]) == ("-0.2", "", "s/0 s/1 s/2")
    assert (lines[1]["ours"], lines[1]["missing"]) == ("", "no run")


def test_a_command_can_be_pasted_into_a_shell(leave_run: Leave, tmp_path: Path) -> None:
    overrides = ("data.root='/my photos'", "teacher.members=[a,b]", "name='$(rm -rf x);`y`'")
    ((run,), _) = read([leave_run(tmp_path / "a", *overrides)])
    assert shlex.split(command(run)) == ["python", "src/train.py", *overrides]
    assert "$(rm" not in command(run).replace("'", "").split()[0]


def test_a_numbered_option_is_shown_as_it_is_typed(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "resolution=384", overrides=["resolution='384'"])
    ((run,), _) = read([tmp_path])
    assert command(run) == "python src/train.py resolution=384"
