"""The report as CSV: every run, and each of the paper's tables a line a cell."""

import csv
import io
import shlex
from collections.abc import Sequence

from deit.config.arguments import NUMBERED_GROUPS
from deit.config.spreadsheet_cells import inert
from deit.report.cells import FilledTable
from deit.report.contents import Contents
from deit.report.folders import Run

CONFIG = ("model.name", "distill.method", "distill.token", "teacher.name", "scale.name", "data.name", "optim.epochs")


def command(run: Run) -> str:
    """What to type to run it again, quoted for a shell."""
    return shlex.join(["python", "src/train.py", *map(_as_typed, run.overrides)])


def _as_typed(override: str) -> str:
    """``resolution=384``: the entry quotes it for Hydra by itself."""
    key, _, option = override.partition("=")
    bare = option.strip("'")
    return f"{key}={bare}" if key in NUMBERED_GROUPS and bare.isdecimal() else override


def runs_csv(contents: Contents) -> str:
    """A line a run: what it is, every metric and timing, the error and the command."""
    metrics = list(dict.fromkeys(name for run in contents.runs for name in run.metrics))
    timings = list(dict.fromkeys(name for run in contents.runs for name in run.timing))
    group_of = {run.path: label for label, g in zip(contents.labels, contents.groups, strict=True) for run in g.runs}
    known = {run.path: group.facts for group in contents.groups for run in group.runs}
    header = [
        "run",
        "status",
        "dry_run",
        "configuration",
        "seed",
        *CONFIG,
        "paper_pixels",
        "paper_epochs",
        "parameters",
    ]
    rows = [
        [
            *(run.name, run.status, run.dry_run, group_of[run.path], run.seed),
            *(known[run.path].get(key) for key in (*CONFIG, "paper_pixels", "paper_epochs")),
            run.parameters,
            *(run.metrics.get(name) for name in metrics),
            *(run.timing.get(name) for name in timings),
            *(run.environment.get("date"), run.environment.get("git"), run.error, command(run)),
        ]
        for run in contents.runs
    ]
    timing_names = [f"timing/{name}" for name in timings]
    return _csv([*header, *metrics, *timing_names, "date", "git", "error", "command"], rows)


def table_csv(filled: FilledTable) -> str:
    """A line a cell: the paper's figure, ours, and what it comes from."""
    header = [
        "row",
        "column",
        "unit",
        "paper",
        "icml",
        "unconfirmed",
        "ours",
        "half_width",
        "seeds",
        "delta",
        "missing",
    ]
    rows = []
    for r, c, cell in filled.table.cells():
        column, found = filled.table.columns[c], filled.cells.get((r, c))
        ours = found.estimate if found else None
        rows.append(
            [
                *(filled.table.rows[r].label, column.label, column.unit, cell.paper, cell.icml, cell.unconfirmed),
                *((ours.mean, ours.half_width, ours.n) if ours else (None, None, None)),
                *(filled.delta((r, c)), found.missing if found else None, *(run.name for run in _used(filled, (r, c)))),
            ]
        )
    return _csv([*header, "runs"], [[*row[: len(header)], " ".join(map(str, row[len(header) :]))] for row in rows])


def _used(filled: FilledTable, place: tuple[int, int]) -> Sequence[Run]:
    found = filled.cells.get(place)
    return found.runs if found else ()


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(inert(name) for name in header)
    writer.writerows([inert(value) for value in row] for row in rows)
    return text.getvalue()
