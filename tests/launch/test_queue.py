"""The order in which jobs of a sweep start, wherever they run."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from deit.launch.queue import run_all
from deit.launch.results import Results


class Steps:
    """A place where a job ends at the next look; it writes down what happened."""

    pause = 0.0
    beginning = "starts"

    def __init__(self, results: Results, failing: Mapping[int, str]) -> None:
        self.results, self.failing = results, failing
        self.running: list[int] = []
        self.happened: list[list[int]] = []

    def start(self, numbers: Sequence[int]) -> Mapping[int, str]:
        self.running += numbers
        self.happened.append(list(numbers))
        return {number: f"log of {number}" for number in numbers}

    def ended(self) -> Mapping[int, str]:
        number = self.running.pop(0)
        folder = self.results.folder(number)
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"status": "done", "metrics": {"test/acc1": 50.0}}))
        return {number: self.failing.get(number, "")}

    def waits_for(self, number: int) -> str:
        return f"job {number} fits a teacher"

    def leave(self) -> None:
        self.happened.append([])


def run(
    sweep: Path, at_once: int | None, starts: Mapping[int, int], failing: Mapping[int, str] | None = None
) -> tuple[Results, list[list[int]]]:
    results = Results(sweep, [[f"seed={number}"] for number in range(4)])
    steps = Steps(results, failing or {})
    run_all(results, range(4), steps, at_once=at_once, starts=starts)
    return results, steps.happened


def test_as_many_start_as_there_is_room(tmp_path: Path) -> None:
    _, happened = run(tmp_path, 2, {})
    assert happened == [[0, 1], [2], [3], []]


def test_all_start_at_once_where_nothing_says_how_many(tmp_path: Path) -> None:
    _, happened = run(tmp_path, None, {})
    assert happened == [[0, 1, 2, 3], []]


def test_a_job_waits_for_the_one_that_it_starts_from(tmp_path: Path) -> None:
    _, happened = run(tmp_path, None, {1: 0, 3: 1})
    assert happened == [[0, 2], [1], [3], []]


def test_a_job_that_fails_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, happened = run(tmp_path, 1, {}, {1: "RuntimeError: no luck"})
    assert happened == [[0], [1], [2], [3], []]
    assert [results.outcome(number).status for number in range(4)] == ["done", "failed", "done", "done"]
    assert results.show() == 1
    said = capsys.readouterr().out
    assert "#1 failed after 0 s: RuntimeError: no luck (2 ended)" in said
    assert "#3 starts: seed=3 (log of 3)" in said


@pytest.mark.parametrize(
    ("record", "is_told"),
    [
        (None, True),
        ({"status": "running", "began": None}, True),
        ({"status": "failed"}, True),  # of an earlier start
        ({"status": "running", "began": "2026-01-01T00:00:00+0000"}, False),
    ],
)
def test_a_job_that_has_not_begun_to_train_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    record: dict[str, object] | None,
    is_told: bool,
) -> None:
    monkeypatch.setattr("deit.launch.queue.NOTICE_S", 0.05)
    results = Results(tmp_path, [["seed=0"]])
    steps = Steps(results, {})
    looks = iter([False, False, True])

    def ended() -> Mapping[int, str]:
        time.sleep(0.06)
        return {0: ""} if next(looks) else {}

    if record is not None:
        (tmp_path / "0").mkdir()
        (tmp_path / "0/run.json").write_text(json.dumps(record))
        os.utime(tmp_path / "0/run.json", (0, 0))
    monkeypatch.setattr(steps, "ended", ended)
    run_all(results, [0], steps, at_once=1, starts={})
    said = capsys.readouterr().out
    assert ("#0 has not begun to train after 0 s: job 0 fits a teacher" in said) == is_told
