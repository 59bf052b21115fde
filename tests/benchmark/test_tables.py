"""The page: the newest result of each command, with what it was measured on."""

import json
from pathlib import Path

import pytest

from deit.benchmark import results, tables
from deit.benchmark.request import Request
from deit.benchmark.results import Result, rows_of, times_as_fast
from deit.config.errors import ConfigError
from deit.evaluation.throughput import Spent


def record(what: str, seconds: float, *overrides: str) -> dict:
    taken = {"one": [Spent(seconds, 1), Spent(seconds, 1)], "other": [Spent(2 * seconds, 1), Spent(4 * seconds, 1)]}
    result = Result(
        what=what,
        about=f"About {what}.",
        unit="image",
        rows=rows_of(taken, {"one": {"% of the peak": 12.345}}),
        ratios=[times_as_fast(taken, "one", "other")],
        facts={"batch": 16, "peak in GFLOP/s": 1234.5},
    )
    return json.loads(json.dumps(result.record(Request((what,), 2, 1.0, None), overrides)))


def test_the_newest_result_of_each_command_becomes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results.FOLDER.mkdir(parents=True)
    measured = [record("step", 1.0), record("step", 0.5), record("data", 0.01), record("step", 0.1, "model=deit_s")]
    for number, one in enumerate(measured):
        (results.FOLDER / f"{number}.json").write_text(json.dumps(one))
    tables.write_page(Path("docs/page.md"), results.kept())
    page = Path("docs/page.md").read_text()
    assert page.startswith("# Benchmarks\n")
    assert page.index("## data") < page.index("## step")
    assert (page.count("## step"), page.count("About step.")) == (1, 1)
    assert "\npython src/benchmark.py what=step rounds=2\n" in page
    assert "\npython src/benchmark.py what=step rounds=2 model=deit_s\n" in page
    assert "batch 16, peak in GFLOP/s 1,234; 2 rounds. " in page
    assert "| by wall time | images/s | ms an image | % of the peak |\n|---|--:|--:|--:|\n" in page
    assert "| one | 2 | 500 | 12.3 |" in page
    assert "| one | 1 |" not in page, "an older result of the same command"
    assert "| one : other | 3 | 2 | 4 |" in page


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no results to write page.md of; pass what=step"):
        tables.write_page(Path("page.md"), [])


@pytest.mark.parametrize(
    ("value", "said"), [(1234567.8, "1,234,568"), (99.96, "100"), (0.5, "0.5"), (12, "12"), (0.000106, "0.00011")]
)
def test_figures_have_three_digits_that_count(value: float, said: str) -> None:
    assert tables.figure(value) == said
