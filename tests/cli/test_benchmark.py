"""src/benchmark.py: each benchmark on the smallest settings, what it prints and keeps, and what it refuses."""

import json
import statistics
from pathlib import Path

import pytest

import commands
from conftest import Outcome
from deit.benchmark.tables import figure

TINY = ("rounds=2", "seconds=0", "scale.depth=1", "teacher.nano_width=0.05", "data.train_fraction=0.15")
CANDIDATES = {
    "data": ["official transform", "ours", "ours data.decode=reference", "reading the bank"],
    "step": [
        "official loop",
        "official loop, fused attention",
        "official loop, live teacher",
        "ours, no teacher",
        "ours, live teacher",
        "ours, teacher from a bank",
    ],
    "inference": ["timm, eager", "ours"],
    "overhead": ["bare loop", "under the Trainer"],
    "startup": ["import hydra", "train.py --cfg job", "train.py to the first step"],
}
SHORT, SLOW = "overhead", pytest.mark.slow


def benchmark(folder: Path, *arguments: str) -> Outcome:
    return Outcome(commands.run("benchmark.py", *arguments, cwd=folder))


def kept(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "logs/benchmarks").glob("*.json"))]


@pytest.mark.parametrize("what", [pytest.param(what, marks=() if what == SHORT else SLOW) for what in CANDIDATES])
def test_a_benchmark_keeps_what_it_prints(tmp_path: Path, what: str) -> None:
    outcome = benchmark(tmp_path, f"what={what}", *TINY)
    assert outcome.status == 0, outcome.said
    assert {path.name for path in tmp_path.iterdir()} == {"logs"}, "no folder of a run"
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"benchmarks"}
    (record,) = kept(tmp_path)
    assert record["what"] == what
    assert record["overrides"] == list(TINY[2:])
    assert record["command"].startswith(f"python src/benchmark.py what={what} rounds=2 seconds=0 ")
    assert {"cpu", "cores", "threads", "memory_gb", "gpu"} == record["machine"].keys()
    assert {"torch", "torchvision", "timm", "lightning", "numpy", "pillow"} <= record["versions"].keys()
    assert [row["name"] for row in record["rows"]] == CANDIDATES[what]
    taken = {row["name"]: row[f"{record['clock']}_s"] for row in record["rows"]}
    for samples in taken.values():
        assert len(samples) == 2
        assert all(sample > 0 for sample in samples)
        assert figure(1000 * statistics.median(samples)) in outcome.said
    assert record["ratios"]
    for ratio in record["ratios"]:
        assert len(ratio["samples"]) == 2
        assert ratio["median"] == statistics.median(ratio["samples"])
        assert ratio["name"] in outcome.said
        if not ratio["name"].startswith("time of"):
            fast, slow = (taken[name] for name in ratio["name"].split(" : "))
            assert ratio["samples"] == [b / a for a, b in zip(fast, slow, strict=True)]
    assert f"{what}: round 2 of 2: " in outcome.said


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    outcome = benchmark(tmp_path, "report=page.md")
    assert outcome.status == 2, outcome.said
    assert "there are no results to write page.md of" in outcome.said
    assert list(tmp_path.iterdir()) == []


def test_help_says_how_it_is_called(tmp_path: Path) -> None:
    for arguments in (["--help"], ["what=step", "-h"]):
        outcome = benchmark(tmp_path, *arguments)
        assert outcome.status == 0
        assert "python src/benchmark.py what=step" in outcome.said
