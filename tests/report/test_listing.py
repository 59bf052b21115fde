"""Runs and sweeps, a line each."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.report.listing import ago, aligned, main


@pytest.fixture
def logs(leave_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    leave_run(tmp_path / "logs/runs/one", "distill=none", metrics={"test/acc1": 91.25})
    leave_run(tmp_path / "logs/runs/two", "distill=none", status="failed", error="OSError: disk full")
    for job, status in enumerate(("done", "done", "running")):
        metrics = {"test/acc1": 90.0 + job} if status == "done" else None
        leave_run(tmp_path / f"logs/sweeps/grid/{job}", "distill=none", status=status, metrics=metrics)
    return tmp_path / "logs"


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    main(arguments, None)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


def test_runs_have_a_line_and_sweeps_their_counts(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {
        "logs/runs/one": "done 3/45 91.25 2026-01-01",
        "logs/runs/two": "failed 3/45 \u2013 2026-01-01 OSError: disk full",
        "logs/sweeps/grid": "3 runs: 2 done, 1 running 90.00 to 91.00 2026-01-01",
    }


def test_a_sweep_that_is_named_shows_its_jobs(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.utime(logs / "sweeps/grid/2/metrics.csv", (0, 0))
    lines = listed(capsys, "logs/sweeps/grid")
    assert list(lines) == [f"logs/sweeps/grid/{job}" for job in range(3)]
    assert "running, " in lines["logs/sweeps/grid/2"]
    assert "days ago" in lines["logs/sweeps/grid/2"]


def test_what_cannot_be_read_is_listed(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (logs / "runs/two/run.json").write_text("{")
    assert listed(capsys)["logs/runs/two"].startswith("not readable run.json is damaged")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "5 seconds ago"), (89, "89 seconds ago"), (240, "4 minutes ago"), (7200, "2 hours ago"), (2e5, "2 days ago")],
)
def test_a_running_run_tells_when_it_last_wrote(tmp_path: Path, seconds: float, said: str) -> None:
    (tmp_path / "run.json").touch()
    (tmp_path / "metrics.csv").touch()
    os.utime(tmp_path / "metrics.csv", (1000, 1000))
    assert ago(tmp_path, now=1000 + seconds) == said


def test_a_folder_without_runs_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)], None)
    assert ended.value.code == 2
    assert "no runs in" in capsys.readouterr().err


def test_columns_are_aligned() -> None:
    assert aligned([("a", "bb", "c"), ("aaa", "b")]) == "a    bb  c\naaa  b\n"
    assert aligned([]) == ""
