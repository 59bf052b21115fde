"""What was measured, as it is kept: every sample, and ratios within rounds."""

import json
import os
import platform
import shlex
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch

from deit.benchmark.request import Request
from deit.evaluation.throughput import Spent, device_name
from deit.training.folder import write_atomically

FOLDER = Path("logs/benchmarks")
SCHEMA = 1
VERSIONS = ("torch", "torchvision", "timm", "lightning", "numpy", "pillow")


@dataclass(frozen=True)
class Row:
    """A candidate."""

    name: str
    taken: Sequence[Spent]
    """Seconds a unit, round by round."""
    more: Mapping[str, float] = field(default_factory=dict)
    """Other figures of it, by what they are."""


def rows_of(taken: Mapping[str, Sequence[Spent]], more: Mapping[str, Mapping[str, float]] | None = None) -> list[Row]:
    """A row a candidate; ``more`` has other figures of some."""
    return [Row(name, spent, (more or {}).get(name, {})) for name, spent in taken.items()]


@dataclass(frozen=True)
class Ratio:
    """Two candidates in the same rounds."""

    name: str
    samples: Sequence[float]

    def record(self) -> dict[str, object]:
        s = self.samples
        middle = {"median": statistics.median(s), "min": min(s), "max": max(s)}
        return {"name": self.name, **middle, "samples": list(s)}


@dataclass(frozen=True)
class Result:
    """One benchmark."""

    what: str
    about: str
    """What is compared and how, in sentences."""
    unit: str
    """What the times are of: image, step, start."""
    rows: Sequence[Row]
    ratios: Sequence[Ratio]
    facts: Mapping[str, object]
    """Under which conditions, by name."""
    clock: str = "wall"
    """``wall``, or ``cpu`` for work on a single core."""

    def record(self, request: Request, overrides: Sequence[str]) -> dict[str, object]:
        """All of it and where it was measured, as plain data. overrides: the settings of a run that were typed."""
        words = [f"what={self.what}", *request.words(), *overrides]
        return {
            "schema": SCHEMA,
            "what": self.what,
            "command": shlex.join(["python", "src/benchmark.py", *words]),
            "overrides": list(overrides),
            "date": time.strftime("%Y-%m-%d %H:%M"),
            "machine": machine(),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
            "about": self.about,
            "unit": self.unit,
            "clock": self.clock,
            "facts": dict(self.facts),
            "rows": [
                {
                    "name": row.name,
                    "wall_s": [spent.wall for spent in row.taken],
                    "cpu_s": [spent.cpu for spent in row.taken],
                    "more": dict(row.more),
                }
                for row in self.rows
            ],
            "ratios": [ratio.record() for ratio in self.ratios],
        }


def times_as_fast(taken: Mapping[str, Sequence[Spent]], one: str, other: str, *, clock: str = "wall") -> Ratio:
    """How many times as fast ``one`` candidate is as the ``other``."""
    pairs = zip(taken[one], taken[other], strict=True)
    return Ratio(f"{one} : {other}", [getattr(b, clock) / getattr(a, clock) for a, b in pairs])


def machine() -> dict[str, object]:
    """Processor, memory and GPU."""
    gpu = device_name("cuda") if torch.cuda.is_available() else None
    return {
        "cpu": device_name("cpu"),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": gpu,
    }


def keep(record: Mapping[str, object]) -> Path:
    """Write ``record`` below logs/benchmarks; returns the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{record['what']}.json"
    write_atomically(path, json.dumps(record, indent=2) + "\n")
    return path


def kept() -> list[dict]:
    """The newest record of every command, oldest first."""
    newest: dict[str, dict] = {}
    for path in sorted(FOLDER.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("schema") == SCHEMA:
            newest[record["command"]] = record
    return list(newest.values())
