"""Makes a report: reads run folders and writes Markdown, spreadsheets, plots and the page into one folder."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deit.config.drafts import refuse_link, replace_bytes, replace_text
from deit.config.errors import ConfigError, RunError, nearest
from deit.config.preflight import EXIT_USER_ERROR
from deit.report import evaluation_page, page, plots, upload
from deit.report.contents import Contents, gather
from deit.report.markdown import markdown
from deit.report.spreadsheets import runs_csv, table_csv
from deit.report.texts import count_statuses

OPTIONS = {"output": "<folder>", "wandb": "true"}
"""With what may be typed for each."""


class Request(NamedTuple):
    """What the command line asks for."""

    folders: list[Path]
    output: Path
    wandb: bool
    """Whether to make a dashboard at Weights & Biases too."""


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Make the report that the command line asks for; a mistake ends the program with one message and status 2."""
    if not arguments or {"-h", "--help"} & set(arguments):
        sys.stdout.write(f"{usage}")
        raise SystemExit(0 if arguments else EXIT_USER_ERROR)
    try:
        folders, output, wandb = parse(arguments)
        contents = gather(folders)
        place = upload.find_place(contents) if wandb else None
        write(contents, output)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_USER_ERROR) from None
    except OSError as error:  # a full disk, a folder that may not be written to
        sys.stderr.write(f"{error}; pass output=<folder> to write elsewhere\n")
        raise SystemExit(1) from None
    sys.stdout.write("\n".join(said(contents, output)) + "\n")
    if not contents.runs and not contents.evaluations:
        sys.stderr.write("the report is empty: none of the runs could be read, for the reasons above\n")
        raise SystemExit(1)
    if place is not None:
        try:
            sys.stdout.write(f"dashboard: {upload.save(contents, place)}\n")
        except RunError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None


def parse(arguments: Sequence[str]) -> Request:
    """Folders to read and the folder to write: ``output=``, or ``report`` in the first folder read.

    Raises:
        ConfigError: for options that do not exist or cannot be so, and where no folder is named.
    """
    options: dict[str, str] = {}
    folders: list[Path] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not argument or (key in OPTIONS and equals and not value):
            raise ConfigError(f"'{argument}' is empty: is it a shell variable that is not set? leave it out")
        if equals and key in OPTIONS:
            options[key] = value
        elif Path(argument).exists() or not (equals or argument.startswith("-")):
            folders.append(Path(argument))
        else:
            guess = nearest(key.lstrip("-"), OPTIONS) or "output"
            raise ConfigError(f"{argument} is no option; possible: {', '.join(OPTIONS)}; pass {guess}={OPTIONS[guess]}")
    if not folders:
        raise ConfigError("no folder is named; pass the folder of a run or of a sweep, such as logs/sweeps/<sweep>")
    output = Path(options.get("output") or folders[0] / "report")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; pass output=<folder>")
    if (wandb := options.get("wandb", "false")) not in ("true", "false"):
        raise ConfigError(f"wandb={wandb} is unknown; possible: true, false; pass wandb=true")
    return Request(folders, output, wandb == "true")


def write(contents: Contents, output: Path) -> None:
    """Write everything below ``output``; what an earlier report left there is replaced."""
    for folder, suffixes in (("plots", (".png", ".svg")), ("tables", (".csv",))):
        refuse_link(output / folder)
        (output / folder).mkdir(parents=True, exist_ok=True)
        for old in (output / folder).iterdir():
            if old.suffix in suffixes:
                old.unlink()
    for plot, png, svg in plots.draw_all(contents):
        contents.plots.append(plot)
        replace_bytes(output / "plots" / f"{plot.name}.png", png)
        replace_text(output / "plots" / f"{plot.name}.svg", svg)
    for filled in contents.tables:
        replace_text(output / "tables" / f"{filled.file_name}.csv", table_csv(filled))
    evaluated = [evaluation_page.Shown.drawn(one, output / "plots") for one in contents.evaluations]
    replace_text(output / "runs.csv", runs_csv(contents))
    replace_text(output / "report.md", markdown(contents) + evaluation_page.markdown(evaluated))
    replace_text(output / "report.html", page.page(contents, evaluated))


def said(contents: Contents, output: Path) -> list[str]:
    """What the command prints: counts, what is damaged, how full each table is, where the files are."""
    lines = [count_statuses(contents.runs)]
    lines += [f"not readable: {one.name}: {one.reason}" for one in contents.damaged]
    lines += [f"evaluation: {one.name}" for one in contents.evaluations]
    lines += [f"partly readable: {run.name}: {run.problem}" for run in contents.runs if run.problem]
    lines += [
        f"{filled.table.title} ({filled.scale}{f', {filled.data}' if filled.data else ''}):"
        f" {filled.num_filled} of {len(filled.cells)} cells"
        for filled in contents.tables
    ]
    return [*lines, f"files: {output}"]
