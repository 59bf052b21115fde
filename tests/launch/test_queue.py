"""The order in which jobs of a sweep start, wherever they run."""

import json
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
