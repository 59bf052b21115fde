"""Command lines of ``name=value`` words read into a dataclass, for commands that need no groups. Imports no torch."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TypeVar, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deit.config.errors import ConfigError, nearest
from deit.config.preflight import refuse

T = TypeVar("T")

KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a file or folder",
    str: "a text",
}


def taken(kind: type[T], arguments: Sequence[str], usage: str | None, examples: Mapping[str, str]) -> T:
    """What the command line asks for, as `read` has it; a mistake ends the program with one message and status 2."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(f"{usage}")
        raise SystemExit(0)
    try:
        return read(kind, arguments, examples)
    except ConfigError as error:
        refuse(str(error))


def read(kind: type[T], arguments: Sequence[str], examples: Mapping[str, str]) -> T:
    """The dataclass ``kind`` with what ``arguments`` set; a list is typed with commas, and read by `listed`.

    Args:
        kind: Its fields are of types that OmegaConf knows; one without a default must be given.
        examples: A value that may be typed, by field.

    Raises:
        ConfigError: naming every problem at once.
    """
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType] - a dataclass, which T cannot say
    types = get_type_hints(kind)
    chosen = OmegaConf.structured(kind)
    problems: list[str] = []
    given: set[str] = set()
    texts: dict[str, object] = {}  # past OmegaConf, to which ${ would mean something
    for argument in arguments:
        name, equals, value = argument.partition("=")
        plain = name.lstrip("-").replace("-", "_")
        if not equals or name not in names:
            guess = nearest(plain, names) or names[0]
            problems.append(
                f"'{argument}' is not understood; possible: {', '.join(f'{n}=…' for n in names)};"
                f" pass {guess}={value or examples[guess]}"
            )
        elif not value:
            problems.append(f"{name} is empty: is it a shell variable that is not set? pass {name}={examples[name]}")
        elif name in given:
            problems.append(f"{name} is given twice; pass it once")
        else:
            try:
                if get_origin(types[name]) is list:
                    texts[name], chosen[name] = listed(value), []
                elif (text := _kind(types[name])) in (str, Path):
                    texts[name], chosen[name] = text(unquoted(value)), ""
                else:
                    chosen[name] = value
            except OmegaConfBaseException:
                problems.append(f"{argument} must be {_described(types[name])}; pass {name}={examples[name]}")
        given.add(name)
    for field in fields(kind):  # pyright: ignore[reportArgumentType] - as above
        if field.name not in given and field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{field.name} must be given; pass {field.name}={examples[field.name]}")
    if problems:
        raise ConfigError.of(problems)
    return replace(OmegaConf.to_object(chosen), **texts)  # pyright: ignore[reportCallIssue, reportArgumentType] - of kind


def exists(path: str) -> bool:
    """Return True if ``path`` is a file or folder; False for a text that no path can be, such as one too long."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises for such a text


def unquoted(text: str) -> str:
    """Return ``text`` without quotes around all of it, which a second pair keeps from the shell, unless it exists."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]
    return text[1:-1] if is_quoted and not exists(text) else text


def listed(text: str) -> list[str]:
    """Split ``text`` at its commas, except those inside quotes and those in a path that exists.

    Of several paths that a text may begin with, the longest is taken: ``runs/lr=0.1,bs=16`` is one folder if it exists.
    """
    if exists(text):
        return [text]
    return [part for part in _joined([unquoted(part) for part in re.findall(_PART, text)]) if part]


_MOST_COMMAS = 64  # in one path that is looked for: a list of thousands is read in no time
_PART = re.compile(r"""(?:'[^']*'|"[^"]*"|[^,'"]|['"])+""")
"""Text up to a comma that is not inside quotes."""


def _joined(parts: list[str]) -> Iterator[str]:
    """Yield ``parts``, those joined again that a comma in a path has parted."""
    while parts:
        ends = range(min(len(parts), _MOST_COMMAS + 1), 1, -1)
        end = next((end for end in ends if exists(",".join(parts[:end]))), 1)
        yield ",".join(parts[:end])
        parts = parts[end:]


def _kind(kind: object) -> object:
    """Return the type of a field that may be None besides."""
    return next((one for one in get_args(kind) if one is not NoneType), kind)


def _described(kind: object) -> str:
    """What a field of type ``kind`` takes, in words."""
    one = _kind(kind)
    if isinstance(one, type) and issubclass(one, Enum):
        return f"one of {', '.join(member.name for member in one)}"
    return KINDS.get(one, "another value")  # pyright: ignore[reportArgumentType] - any type may be asked for
