"""What src/doctor.py does: make the checks, print each verdict as it comes, count them."""

import dataclasses
import importlib
import json
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deit.config import drafts
from deit.config.compose import plain
from deit.config.errors import ConfigError, RunError, printable
from deit.config.schema import Config
from deit.doctor.request import Request
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Grade, Unmet, Verdict, not_checked, problem

COLOURS = {Grade.ok: "green", Grade.warning: "yellow", Grade.problem: "bold red", Grade.not_checked: "dim"}
GRADE, WHAT = 13, 14  # characters of the first two columns
CONSOLE = Console(highlight=False, soft_wrap=True)


def work(request: Request, config: Config) -> int:
    """Make the checks that are asked for; returns the exit status: 1 if a problem was found, else 0."""
    logging.getLogger("deit").setLevel(logging.WARNING)  # what is worth saying is a verdict
    subject = Subject(config, all_images=request.all_images)
    made: list[tuple[str, Verdict]] = []
    for what in request.what:
        with CONSOLE.status(what):  # on a terminal
            for verdict in examined(what, subject):
                made.append((what, verdict))
                show(what, verdict)
    grades = Counter(verdict.grade for _, verdict in made)
    CONSOLE.print(", ".join(f"{grades[grade]} {grade}" for grade in Grade if grades[grade]))
    if request.json is not None:
        keep(request.json, made)
    return int(grades[Grade.problem] > 0)


def examined(what: str, subject: Subject) -> Iterator[Verdict]:
    """The verdicts of one check. Whatever it meets is one of them, so that the others are made all the same."""
    try:
        yield from importlib.import_module(f"deit.doctor.{what}").check(subject)
    except Unmet as reason:
        yield not_checked("", str(reason))
    except (ConfigError, RunError) as error:
        yield problem("", " ".join(str(error).split()))  # a line, whatever it lists
    except ImportError as error:
        yield problem("", f"a package cannot be imported ({error})", "make setup installs what is needed")
    except Exception as error:
        traceback.print_exc()
        yield problem("", f"the check itself failed: {type(error).__name__}: {error}", "see the traceback above")


def show(what: str, verdict: Verdict) -> None:
    """Print a verdict: a line, and one for everything it lists."""
    sys.stderr.flush()
    grade = Text(f"{verdict.grade!s:{GRADE}}", style=COLOURS[verdict.grade])
    CONSOLE.print(Text.assemble(grade, f"{what:{WHAT}}", printable(verdict.line())))
    for line in verdict.listed:
        CONSOLE.print(Text(" " * (GRADE + WHAT + 2) + printable(line)))


def keep(path: Path, made: list[tuple[str, Verdict]]) -> None:
    """Write the verdicts as JSON, a list of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = [{"what": what} | dataclasses.asdict(verdict) for what, verdict in made]
    drafts.replace_text(path, json.dumps(plain(content), indent=2) + "\n")
