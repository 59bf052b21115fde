"""Hydra's and OmegaConf's messages said again in the user's words, with the nearest right key."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

from deit.config.errors import nearest
from deit.config.schema import Config


@cache
def known_keys() -> tuple[str, ...]:
    """Every key that can be overridden, groups included: ``model``, ``model.heads``, …"""
    return tuple(_keys(Config, ""))


def _keys(cls: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(cls)
    for item in fields(cls):
        yield prefix + item.name
        if is_dataclass(hints[item.name]):
            yield from _keys(hints[item.name], f"{prefix}{item.name}.")


def explain(error: BaseException) -> str:
    """One message for an error of composition: what is wrong, what is possible, what to type."""
    text = _whole_message(error)
    for explanation in (_missing_key, _unknown_option, _wrong_type, _bad_syntax):
        if (said := explanation(text)) is not None:
            return said
    return text


def _whole_message(error: BaseException) -> str:
    """The messages of an error and of what caused it: Hydra often keeps the telling half in the cause."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        if str(current) not in parts:
            parts.append(str(current))
        current = current.__cause__
    return "\n".join(parts)


def _missing_key(text: str) -> str | None:
    found = re.search(r"[Kk]ey '([^']*)' (?:is )?not in (?:struct|'\w+')", text)
    if found is None:
        return None
    full = re.search(r"full_key: (\S+)", text)
    return unknown_key(full.group(1) if full else found.group(1))


def unknown_key(key: str) -> str:
    """What to say of a key that the configuration does not have."""
    possible = known_keys()
    parent = key.rpartition(".")[0]
    guess = nearest(key, possible)
    if guess is None and parent not in ("", *possible):
        guess = nearest(parent, possible)
    siblings = [k.removeprefix(f"{parent}.") for k in possible if k.rpartition(".")[0] == parent]
    message = f"{key} is no key of the configuration"
    if siblings:
        message += f"; possible{f' below {parent}' if parent else ''}: {', '.join(siblings)}"
    return message + (f"; did you mean {guess}=…?" if guess else "; python src/train.py --help shows every key")


def _unknown_option(text: str) -> str | None:
    found = re.search(r"Could not (?:find|load) '(hydra/\w+|\w+)/([^']*)'", text)
    if found is None:
        return None
    group, given = found.groups()
    options = re.findall(r"^\t(\S+)$", text, re.MULTILINE) or _files_of(group, text)
    guess = nearest(given, options)
    message = f"{group}={given} is unknown; possible: {', '.join(options)}"
    return message + f"; pass {group}={guess or (options[0] if options else '<option>')}"


def _files_of(group: str, text: str) -> list[str]:
    """The options of a group, where Hydra names none: those in folders of their own, and the pieces of a list."""
    place = re.search(r"provider=main, path=file://(.*)", text)
    folder = Path(place.group(1)) / group if place else Path()
    return sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml")) if place else []


def _wrong_type(text: str) -> str | None:
    found = re.search(
        r"(?:Value '(?P<value>.*?)'(?: of type '\w+')? (?:could not be converted|is not a valid)|"
        r"Invalid value '(?P<enum>.*?)', expected one of \[(?P<options>.*?)\]|"
        r"(?:Incompatible|Invalid) value '(?P<other>.*?)')",
        text,
    )
    full = re.search(r"full_key: (\S+)", text)
    if found is None or full is None:
        return None
    key = full.group(1)
    if (options := found.group("options")) is not None:
        names = options.split(", ")
        guess = nearest(found.group("enum"), names) or names[0]
        return f"{key}={found.group('enum')} is unknown; possible: {', '.join(names)}; pass {key}={guess}"
    given = found.group("value") or found.group("other")
    return f"{key}={given} is of the wrong type; it must be {_type_of(key)}; pass {key}=<{_type_of(key)}>"


def _type_of(key: str) -> str:
    """The type of a key as a person would say it."""
    kind: object = Config
    for part in key.split("."):
        kind = get_type_hints(kind)[part.partition("[")[0]] if is_dataclass(kind) else kind
    named = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    options = [option for option in (kind, *get_args(kind)) if isinstance(option, type)]
    for option in options:
        if option in named:
            return named[option]
        if issubclass(option, Enum):
            return "one of " + ", ".join(member.name for member in option)
    return "a value of another type"


def _bad_syntax(text: str) -> str | None:
    found = re.search(r"Error parsing override '(.*)'\n(.*)", text) or re.search(r"(?s)(.*mismatched input.*)", text)
    if found is None:
        return None
    said = " ".join(part.strip() for part in found.groups())
    return f"{said}; overrides look like key=value, quoted where the value has spaces or commas"
