"""Command lines of ``name=value`` words read into a dataclass, for commands that need no groups. Imports no torch."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
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
    """The dataclass ``kind`` with what ``arguments`` set; a list is typed with commas.

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
            is_list = get_origin(types[name]) is list
            try:
                chosen[name] = [part for part in value.split(",") if part] if is_list else value
            except OmegaConfBaseException:
                problems.append(f"{argument} must be {_described(types[name])}; pass {name}={examples[name]}")
        given.add(name)
    for field in fields(kind):  # pyright: ignore[reportArgumentType] - as above
        if field.name not in given and field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{field.name} must be given; pass {field.name}={examples[field.name]}")
    if problems:
        raise ConfigError.of(problems)
    return OmegaConf.to_object(chosen)  # pyright: ignore[reportReturnType] - an instance of kind


def _described(kind: object) -> str:
    """What a field of type ``kind`` takes, in words."""
    parts = [one for one in get_args(kind) if one is not NoneType] or [kind]
    one = parts[0]
    if isinstance(one, type) and issubclass(one, Enum):
        return f"one of {', '.join(member.name for member in one)}"
    return KINDS.get(one, "another value")  # pyright: ignore[reportArgumentType] - any type may be asked for
