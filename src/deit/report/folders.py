"""Reads run folders: run.json, config.yaml, metrics.csv, predictions.npz where a figure needs it, and nothing else.

What cannot be read is a `Damaged` folder with one line that says why; it is listed, and the others are read.
Only the fields named here are taken, so that nothing else a folder holds can get into a report.
"""

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

import yaml

from deit.config.errors import ConfigError, printable
from deit.config.sealed import CorruptError, parse_record, refuse_unlisted
from deit.report.predictions import Predictions, read_predictions

SCHEMA = 1
"""The run.json that is understood here."""
RECORD, CONFIG, METRICS = "run.json", "config.yaml", "metrics.csv"
ENVIRONMENT = ("date", "git", "python", "platform", "torch", "torchvision", "timm", "lightning", "device")
"""What is shown of a run's environment."""
LARGEST = 64 * 2**20
"""Bytes of the largest file that is read; a million rows of metrics fit."""
MOST_KEYS = 2000
"""Keys of the largest configuration; ours has some 130."""

Curve = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run left."""

    path: Path
    """Its folder, absolute."""
    name: str
    """Its folder from the folder on that was asked for."""
    status: str
    """running, done, failed or preempted."""
    config: Mapping[str, object]
    """The resolved configuration by dotted keys; lists are values."""
    overrides: Sequence[str] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    token_cosine: Sequence[float] = ()
    """Of class and distillation token: as learnt, and after each block."""
    environment: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    dry_run: bool = False
    """Whether its figures mean nothing: they fill no table."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """(epoch, value) a metric, epochs counted from 1; of what came once at the end there is one point."""
    problem: str | None = None
    """What of the folder could not be read though the run itself could."""

    @property
    def seed(self) -> int | None:
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def epoch(self) -> int:
        """Epochs that are finished."""
        return int(max((curve[-1][0] for name, curve in self.curves.items() if name.startswith("train/")), default=0))

    @cached_property
    def predictions(self) -> Predictions:
        """Its decisions for the test images; raises ValueError as `read_predictions` does, with the run's name."""
        try:
            return read_predictions(self.path)
        except ValueError as problem:
            raise ValueError(f"{self.name}: {problem}") from None

    def figure(self, name: str) -> float | None:
        """A metric, ``parameters``, ``timing/<name>``, ``token_cosine/input`` or ``token_cosine/output``."""
        group, _, key = name.partition("/")
        if group == "token_cosine":
            return self.token_cosine[{"input": 0, "output": -1}[key]] if self.token_cosine else None
        if name == "parameters":
            return self.parameters
        return self.timing.get(key) if group == "timing" else self.metrics.get(name)


@dataclass(frozen=True)
class Damaged:
    """A folder that holds a run that cannot be read."""

    path: Path
    name: str
    reason: str


def read(folders: Sequence[Path], *, may_be_none: bool = False) -> tuple[list[Run], list[Damaged]]:
    """Every run in or below ``folders``, each once, in the order of their names.

    Raises:
        ConfigError: for a folder that does not exist, and, unless there ``may_be_none``, where no run is found at all.
    """
    for folder in folders:
        if not folder.is_dir():
            kind = "is a file" if folder.exists() else "does not exist"
            raise ConfigError(
                f"{folder} {kind}; runs are in the folders that src/train.py names;"
                " pass the folder of a run or of a sweep, such as logs/sweeps/<sweep>"
            )
    found: dict[Path, str] = {}
    for folder in folders:
        for path in run_folders(folder):
            found.setdefault(path.resolve(), printable(Path(folder.resolve().name) / path.relative_to(folder)))
    if not found and not may_be_none:
        raise ConfigError(
            f"no runs in {', '.join(map(str, folders))}: no folder there has a {RECORD};"
            " pass the folder of a run or of a sweep, such as logs/sweeps/<sweep>"
        )
    results = [read_run(path, name) for path, name in sorted(found.items(), key=lambda item: _natural(item[1]))]
    return [r for r in results if isinstance(r, Run)], [r for r in results if isinstance(r, Damaged)]


def run_folders(folder: Path) -> Iterator[Path]:
    """Folders in or below ``folder`` that hold a run, or what is left of one; what lies below a run belongs to it."""
    for parent, below, files in os.walk(folder):
        if RECORD in files or {CONFIG, METRICS} <= set(files):
            below.clear()
            yield Path(parent)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which job 10 comes after job 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in Path(name).parts]


def read_run(path: Path, name: str) -> Run | Damaged:
    """The run in ``path``, or why it cannot be read."""
    try:
        record = _record(path / RECORD)
        config = _config(path / CONFIG)
    except (OSError, ValueError, RecursionError) as error:
        return Damaged(path, name, _one_line(error))
    has_begun = record["status"] == "done" or (path / METRICS).exists()
    curves, problem = _curves(path / METRICS) if has_begun else ({}, None)
    limited = config.get("trainer.limit_batches") is not None
    return Run(
        path=path,
        name=name,
        status=printable(record["status"]),
        config=config,
        overrides=[printable(item) for item in _as_list(record.get("overrides"))],
        metrics=_numbers(record.get("metrics")),
        timing=_numbers(record.get("timing")),
        parameters=parameters if isinstance(parameters := record.get("parameters"), int) else None,
        token_cosine=_all_numbers(record.get("token_cosine")),
        environment={k: printable(v) for k, v in _as_dict(record.get("environment")).items() if k in ENVIRONMENT},
        error=None if record.get("error") is None else printable(record["error"]),
        dry_run=record.get("dry_run") is True or limited,
        curves=curves,
        problem=problem,
    )


def _text(file: Path) -> str:
    if not file.is_file():
        raise ValueError(f"{file.name} is missing")
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file.name} has {file.stat().st_size:,} bytes; more than {LARGEST:,} are no run's")
    content = file.read_bytes()
    refuse_unlisted(file, content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{file.name} is no text") from None


def _record(file: Path) -> dict[str, object]:
    text = _text(file)
    try:
        record = parse_record(text, file)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file.name} is damaged or cut off: {error}") from None
    except CorruptError:
        raise
    except ValueError:
        record = {}
    if "status" not in record or "schema" not in record:
        raise ValueError(f"{file.name} is not a run's: it needs schema and status")
    if record["schema"] != SCHEMA:
        raise ValueError(f"{file.name} has schema {record['schema']}; only {SCHEMA} is understood here")
    return record


def _config(file: Path) -> dict[str, object]:
    text = _text(file)
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # safe, and ten times faster
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name} is damaged: {_one_line(error)}") from None
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f"{file.name} is not a run's: it needs the group model")
    leaves: dict[str, object] = {}
    for key, value in _leaves(content):
        leaves[key] = value
        if len(leaves) > MOST_KEYS:  # aliases can make a small file endless
            raise ValueError(f"{file.name} is not a run's: it has more than {MOST_KEYS} keys")
    return leaves


def _leaves(node: Mapping[object, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in node.items():
        key = f"{prefix}{printable(name)}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{key}.")
        elif isinstance(value, list):
            yield key, [_plain(item) for item in value if not isinstance(item, (list, dict))]
        else:
            yield key, _plain(value)


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (int, float)) else printable(value)


def _curves(file: Path) -> tuple[dict[str, Curve], str | None]:
    """(epoch, value) by metric, and what is wrong with the file. Rows that make no sense are left out."""
    curves: dict[str, Curve] = {}
    skipped = 0
    try:
        rows = csv.DictReader(_text(file).splitlines())
        if "epoch" not in (rows.fieldnames or ()):
            return {}, f"{file.name} has no column epoch"
        for row in rows:
            epoch = _number(row.pop("epoch"))
            if epoch is None:
                skipped += 1
                continue
            for metric, text in row.items():
                if metric not in (None, "step") and (value := _number(text)) is not None:
                    curves.setdefault(metric, []).append((epoch + 1, value))
    except (OSError, ValueError, csv.Error) as error:
        return curves, _one_line(error)
    return curves, f"{file.name}: {skipped} rows without an epoch were left out" if skipped else None


def _number(text: object) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cast(str, text))
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _numbers(value: object) -> dict[str, float]:
    return {name: number for name, text in _as_dict(value).items() if (number := _number(text)) is not None}


def _all_numbers(value: object) -> list[float]:
    """A list of numbers; empty if one of them is none, for then the others would lose their places."""
    numbers = [_number(item) for item in _as_list(value)]
    return [] if None in numbers else cast(list[float], numbers)


def _as_dict(value: object) -> dict[str, object]:
    return {printable(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _one_line(error: BaseException) -> str:
    return " ".join(printable(error).split()) or type(error).__name__
