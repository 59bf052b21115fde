"""What is asked of src/doctor.py besides settings of a run: its own words of the command line. Imports no torch."""

import sys
from dataclasses import dataclass
from pathlib import Path

from deit.config import command_line
from deit.config.errors import ConfigError, nearest
from deit.config.preflight import refuse

WHATS = ("installation", "data", "teacher", "bank", "devices", "signals", "memory", "speed")
WORDS = ("what", "all", "json")
TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class Request:
    """Which checks, and how thorough."""

    what: tuple[str, ...]
    """Of `WHATS`, in the order in which they are made."""
    all_images: bool = False
    """Whether every image is decoded."""
    json: Path | None = None
    """File for the verdicts as data; None: none."""


def taken(usage: str | None) -> Request:
    """The request of the command line, taken off it; a wrong one ends the program."""
    words = command_line.take_words(WORDS, usage)
    try:
        if {"-m", "--multirun"} & set(sys.argv):
            raise ConfigError("the doctor looks at one configuration at a time; leave out -m")
        return read(words)
    except ConfigError as error:
        refuse(f"{error}\n\n{usage}".rstrip())


def read(given: dict[str, str]) -> Request:
    """The request that the words ``given`` make.

    Raises:
        ConfigError: naming every problem at once.
    """
    asked = given.get("what", "all")
    what = tuple(WHATS if asked == "all" else filter(None, asked.split(",")))
    possible = f"possible: {', '.join(WHATS)}, several with commas, or all"
    problems = [
        f"what={word} is unknown; {possible}; pass what={nearest(word, WHATS) or WHATS[0]}"
        for word in what
        if word not in WHATS
    ]
    if not what:
        problems.append(f"what={asked} names no check; {possible}; pass what=all")
    every = given.get("all", "false")
    if every not in TRUTHS:
        problems.append(f"all={every} must be true or false; pass all=true to decode every image")
    if (file := given.get("json")) is not None and (not file or Path(file).is_dir() or Path(file).parent.is_file()):
        problems.append(f"json={file} cannot be a file; pass json=doctor.json")
    if problems:
        raise ConfigError.of(problems)
    return Request(what, TRUTHS[every], Path(given["json"]) if "json" in given else None)
