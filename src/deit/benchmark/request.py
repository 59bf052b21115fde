"""What is asked of src/benchmark.py besides settings of a run: its own words of the command line. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from deit.config import command_line
from deit.config.errors import ConfigError, nearest
from deit.config.preflight import refuse

WHATS = ("data", "step", "inference", "overhead", "startup")
WORDS = ("what", "rounds", "seconds", "report")
DEFAULTS = {"rounds": "5", "seconds": "1"}  # minutes for the default of everything on two cores


@dataclass(frozen=True)
class Request:
    """What to measure, how often, how long."""

    what: tuple[str, ...]
    """Of `WHATS`, in the order of measuring."""
    rounds: int
    """How often every candidate has its turn; ratios are taken within a round."""
    seconds: float
    """What a candidate works in a round, at least twice however long that takes."""
    report: Path | None
    """Page to write of all results there are; None: none."""

    def words(self) -> list[str]:
        """How often and how long, as it is typed where it is not the default."""
        given = {"rounds": f"{self.rounds}", "seconds": f"{self.seconds:g}"}
        return [f"{name}={value}" for name, value in given.items() if value != DEFAULTS[name]]


def taken(usage: str | None) -> Request:
    """The request of the command line, taken off it; a wrong one ends the program."""
    words = command_line.take_words(WORDS, usage)
    try:
        return read(words)
    except ConfigError as error:
        refuse(f"{error}\n\n{usage}".rstrip())


def read(given: dict[str, str]) -> Request:
    """The request that the words ``given`` make.

    Raises:
        ConfigError: naming every problem at once.
    """
    words, problems = DEFAULTS | given, []
    what = tuple(WHATS if words.get("what") == "all" else filter(None, words.get("what", "").split(",")))
    possible = f"possible: {', '.join(WHATS)}, several with commas, or all"
    for unknown in (word for word in what if word not in WHATS):
        problems.append(f"what={unknown} is unknown; {possible}; pass what={nearest(unknown, WHATS) or 'step'}")
    if not what and "report" not in words:
        problems.append(f"what to measure must be given; {possible}; pass what=step")
    rounds = _number(words["rounds"], "rounds", 1, problems)
    if rounds != int(rounds):
        problems.append(f"rounds={rounds:g} is no whole number; pass rounds=5")
    seconds = _number(words["seconds"], "seconds", 0, problems)
    if (page := words.get("report")) is not None and (not page or Path(page).is_dir() or Path(page).parent.is_file()):
        problems.append(f"report={page} cannot be a file; pass report=<file>.md")
    if problems:
        raise ConfigError.of(problems)
    return Request(what, int(rounds), seconds, Path(words["report"]) if "report" in words else None)


def _number(given: str, name: str, least: float, problems: list[str]) -> float:
    try:
        number = float(given)
        if least <= number < float("inf"):
            return number
    except ValueError:
        pass
    problems.append(f"{name}={given} must be a number from {least:g}; pass {name}={max(least, 1):g}")
    return least
