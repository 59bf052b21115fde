"""What src/study.py does: read runs, judge the claims, and write tables and figures."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deit.config.drafts import replace_text
from deit.config.errors import ConfigError, nearest
from deit.config.preflight import refuse
from deit.report.folders import CONFIG, METRICS, RECORD, Run, read
from deit.report.predictions import PREDICTIONS
from deit.study import pages, tables
from deit.study.claims import CLAIMS, verdict
from deit.study.figures import figures
from deit.study.settings import Setting, settings

HOME = Path("docs/study")
"""Figures, and below runs/ what each run left."""
KEPT = HOME / "runs"
PAGES = (Path("docs/study.md"), Path("README.md"))
"""Pages with marks for tables."""
FILES = (RECORD, CONFIG, METRICS, PREDICTIONS)
"""Of a run that is kept."""


class Request(NamedTuple):
    """What the command line asks for."""

    folder: Path
    """Of runs or of sweeps."""
    keep: bool
    """Whether these runs take the place of those that the documentation shows."""


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Do what the command line asks; a mistake ends the program with one message and status 2."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(f"{usage}")
        raise SystemExit(0)
    try:
        request = parse(arguments)
        runs, damaged = read([request.folder])
        if damaged:
            raise ConfigError.of([f"{one.name}: {one.reason}; delete it, or run it again" for one in damaged])
        found = settings(runs)
        if request.keep:
            found = settings(kept(found))
        written = write(found, None if request.folder == KEPT or request.keep else request.folder / "study")
    except ConfigError as error:
        refuse(str(error))
    except OSError as error:  # a full disk, a folder that may not be written to
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    sys.stdout.write("\n".join([*said(found), f"files: {', '.join(map(str, written))}"]) + "\n")


def parse(arguments: Sequence[str]) -> Request:
    """A folder, or the runs that are kept; ``keep=true``.

    Raises:
        ConfigError: for what is neither a folder nor an option.
    """
    folders: list[Path] = []
    keep = "false"
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key == "keep" and equals:
            keep = value
        elif argument and Path(argument).is_dir():
            folders.append(Path(argument))
        else:
            guess = "; pass keep=true" if nearest(key.lstrip("-"), ["keep"]) else ""
            raise ConfigError(
                f"{argument or 'an empty word'} is neither a folder nor an option; possible: a folder of sweeps such as"
                f" logs/study, keep=true{guess}"
            )
    if keep not in ("true", "false"):
        raise ConfigError(f"keep={keep} is unknown; possible: true, false; pass keep=true")
    if len(folders) > 1:
        raise ConfigError(f"{len(folders)} folders are named; pass the one that holds the study's sweeps")
    if keep == "true" and (not folders or KEPT.resolve() in (folders[0].resolve(), *folders[0].resolve().parents)):
        raise ConfigError(f"keep=true keeps runs of another folder in {KEPT}; pass logs/study keep=true")
    return Request(folders[0] if folders else KEPT, keep == "true")


def kept(found: Sequence[Setting]) -> list[Run]:
    """The runs of ``found``, copied into the place of those that were kept; what of them a figure needs.

    A fine-tuning names the run that it started from by its place, which becomes the place where that one is kept.

    Raises:
        ConfigError: if one lacks a file, before anything is removed.
    """
    for run in (run for setting in found for run in setting.runs):
        if absent := [name for name in FILES if not (run.path / name).is_file()]:
            raise ConfigError(f"{run.name} has no {', '.join(absent)}; delete the run's folder, and run it again")
    shutil.rmtree(KEPT, ignore_errors=True)
    for setting in found:
        for run in setting.runs:
            sweep = KEPT / run.path.parent.name
            folder = sweep / run.path.name
            folder.mkdir(parents=True)
            for name in FILES:
                shutil.copyfile(run.path / name, folder / name)
            config = (folder / CONFIG).read_text(encoding="utf-8")
            replace_text(folder / CONFIG, config.replace(str(run.path.parent), str(sweep)))
    return read([KEPT])[0]


def write(found: Sequence[Setting], output: Path | None) -> list[Path]:
    """Write the tables and figures: those of the documentation, or a page and its figures into ``output``."""
    judged = tables.differences(found)
    blocks = pages.blocks(found, judged)
    drawn = dict(figures(found, judged))
    folder = output or HOME
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn.items():
        replace_text(folder / f"{name}.svg", svg)
    if output is not None:
        replace_text(output / "study.md", pages.alone(blocks, list(drawn)))
        return [output / "study.md"]
    for page in PAGES:
        replace_text(page, pages.filled(page.read_text(encoding="utf-8"), blocks))
    return list(PAGES)


def said(found: Sequence[Setting]) -> list[str]:
    """What the command prints: a line a setting, with how many claims came out how."""
    lines = []
    for setting in found:
        known = [one for claim in CLAIMS if not isinstance(one := setting.over_seeds(claim.difference), str)]
        verdicts = [verdict(one).value for one in known]
        counts = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
        lines.append(f"{setting.title}: {len(setting.runs)} runs, {len(setting.seeds)} seeds; {counts or 'no claim'}")
    return lines
