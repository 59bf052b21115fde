"""Lists runs and sweeps, one a line: what became of each, how far it is, how good."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deit.config.errors import ConfigError, printable
from deit.config.preflight import EXIT_USER_ERROR
from deit.report.folders import METRICS, RECORD, Run, read
from deit.report.texts import NOTHING, count_statuses

LOGS = Path("logs")
Line = tuple[str, ...]
UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Print the runs and sweeps below the folders that the command line names, or below logs/.

    Jobs of a sweep are counted together, unless the sweep itself is named. A mistake ends the program with status 2.
    """
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(f"{usage}")
        raise SystemExit(0)
    folders = [Path(argument) for argument in arguments] or [LOGS]
    try:
        if wrong := [one for one in arguments if not one or (one.startswith("-") and not Path(one).exists())]:
            raise ConfigError(f"'{wrong[0]}' is no folder, and there are no options; pass folders, such as logs/sweeps")
        runs, damaged = read(folders)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_USER_ERROR) from None
    named = {folder.resolve() for folder in folders}
    lines = [*_lines(runs, named), *((_name(one.path), "not readable", "", "", "", one.reason) for one in damaged)]
    sys.stdout.write(aligned(lines))


def _lines(runs: Sequence[Run], named: set[Path]) -> Iterator[Line]:
    """A line a run, and one a sweep; jobs of the sweeps ``named`` have lines of their own."""
    sweeps: dict[Path, list[Run]] = {}
    for run in runs:
        if is_job(run.path) and run.path.parent not in named:
            sweeps.setdefault(run.path.parent, []).append(run)
        else:
            yield run_line(run)
    for sweep, jobs in sweeps.items():
        yield _name(sweep), count_statuses(jobs), "", _best(jobs), _date(jobs)


def is_job(folder: Path) -> bool:
    """Whether a run is one of a sweep's, whose folders are numbers."""
    return folder.name.isdecimal()


def run_line(run: Run) -> Line:
    """Name, status, epoch, accuracy, date, and what went wrong."""
    accuracy = run.metrics.get("test/acc1")
    epochs = run.config.get("optim.epochs")
    status = f"running, {ago(run.path)}" if run.status == "running" else run.status
    shown = NOTHING if accuracy is None else f"{accuracy:.2f}"
    return _name(run.path), status, f"{run.epoch}/{epochs}", shown, _date([run]), " ".join((run.error or "").split())


def ago(folder: Path, now: float | None = None) -> str:
    """When a run last wrote metrics: a process that is gone cannot be told from one at work, but by that."""
    file = folder / METRICS if (folder / METRICS).is_file() else folder / RECORD
    seconds = (time.time() if now is None else now) - file.stat().st_mtime
    for unit, size in UNITS:
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} seconds ago"


def _best(jobs: Sequence[Run]) -> str:
    found = [job.metrics["test/acc1"] for job in jobs if "test/acc1" in job.metrics]
    return f"{min(found):.2f} to {max(found):.2f}" if found else NOTHING


def _date(runs: Sequence[Run]) -> str:
    """The day and minute of the latest start."""
    return max((run.environment.get("date", "")[:16].replace("T", " ") for run in runs), default="")


def _name(path: Path) -> str:
    """As it would be typed here."""
    here = Path.cwd()
    return printable(path.relative_to(here) if path.is_relative_to(here) else path)


def aligned(lines: Sequence[Line]) -> str:
    """``lines`` in columns, two spaces apart, so that both people and grep can read them."""
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(max(map(len, lines), default=0))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip() for line in lines]
    return "".join(f"{row}\n" for row in rows)
