"""Records of benchmarks as tables: on the terminal, and as a page. Both say what the record holds."""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deit.benchmark.request import WHATS
from deit.config.errors import ConfigError
from deit.training.folder import write_atomically
from deit.training.plan import WIDTH

Cells = list[list[str]]

CONSOLE = Console(width=None if sys.stdout.isatty() else WIDTH)

OPENING = """\
# Benchmarks

How fast a machine does the parts of a run, each beside what it is to be compared with. Absolute figures drift with a
machine's clock and neighbours, so what counts are the ratios: candidates take turns in one process, each round in
another order, and a ratio is taken within a round. A table gives the median over the rounds; ratios also their smallest
and largest. This page is written by `src/benchmark.py` (`make bench`); the samples behind each figure are in
`logs/benchmarks/*.json`.
"""


def rows(record: dict) -> Cells:
    """A row a candidate, the header first: units a second (but for starts), time a unit, and its other figures."""
    unit, clock = record["unit"], record["clock"]
    more = list(dict.fromkeys(title for row in record["rows"] for title in row["more"]))
    rate = [] if unit == "start" else [f"{unit}s/s"]
    time = f"ms {'an' if unit[0] in 'aeiou' else 'a'} {unit}"
    cells = [["by CPU time" if clock == "cpu" else "by wall time", *rate, time, *more]]
    for row in record["rows"]:
        seconds = statistics.median(row[f"{clock}_s"])
        others = [figure(row["more"][title]) if title in row["more"] else "" for title in more]
        rates = [figure(1 / seconds) for _ in rate]
        cells.append([row["name"], *rates, figure(1000 * seconds), *others])
    return cells


def ratios(record: dict) -> Cells:
    """A row a ratio, the header first."""
    return [
        ["times as fast", "median", "smallest", "largest"],
        *([ratio["name"], *(figure(ratio[name]) for name in ("median", "min", "max"))] for ratio in record["ratios"]),
    ]


def figure(value: float) -> str:
    """Three digits that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.5f}"


def show(record: dict) -> None:
    """Print the tables of one record."""
    say(f"\n{record['what']}: {facts(record)}")
    for cells in (rows(record), ratios(record)):
        if len(cells) > 1:
            table = Table()
            for number, heading in enumerate(cells[0]):
                table.add_column(heading, justify="right" if number else "left")
            for row in cells[1:]:
                table.add_row(*row)
            CONSOLE.print(table)


def say(text: str) -> None:
    """Print a line."""
    CONSOLE.print(text, soft_wrap=True)


def facts(record: dict) -> str:
    """Under which conditions it was measured, in a line."""
    return ", ".join(f"{name} {figure(v) if isinstance(v, float) else v}" for name, v in record["facts"].items())


def write_page(path: Path, records: Sequence[dict]) -> None:
    """Write the page of ``records``, those of the same benchmark together.

    Raises:
        ConfigError: if there is nothing to write of.
    """
    if not records:
        raise ConfigError(f"there are no results to write {path} of; pass what=step, or what=all")
    parts = [OPENING]
    for what in WHATS:
        same = [record for record in records if record["what"] == what]
        if same:
            parts.append(f"## {what}\n\n{same[-1]['about']}\n")
        for record in same:
            parts += _measured(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(parts))


def _measured(record: dict) -> list[str]:
    machine = record["machine"]
    on = f"{machine['cpu']}, {machine['cores']} cores, PyTorch on {machine['threads']}, {machine['memory_gb']:g} GB"
    on += f", {machine['gpu']}" if machine["gpu"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return [
        f"```\n{record['command']}\n```\n",
        f"{facts(record)}; {len(record['rows'][0]['wall_s'])} rounds. {record['date']}; {on}; {versions}.\n",
        *(_markdown(cells) for cells in (rows(record), ratios(record)) if len(cells) > 1),
    ]


def _markdown(cells: Cells) -> str:
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], f"|---{'|--:' * (len(cells[0]) - 1)}|", *lines[1:]]) + "\n"
