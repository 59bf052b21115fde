"""Hydra's and OmegaConf's messages said again in the user's words, with the nearest right key."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import cast, get_args, get_origin, get_type_hints

from hydra.errors import OverrideParseException

from deit.config import synonyms
from deit.config.errors import invalid, nearest
from deit.config.schema import Config
from deit.config.secrets import secret_in

UNRESOLVED = (
    "Interpolation key '.*' not found",
    "Unsupported interpolation type .*",
    "Error resolving interpolation '.*'",
    ".* raised while resolving interpolation: .*",
    "Recursive interpolation.*",
    ".*recursion.*",
    "no viable alternative at input '.*'",
    "token recognition error.*",
    "mismatched input .*",
)
"""What OmegaConf says of a ``${…}`` that has no value."""
MOST_OPTIONS = 15  # that are named of a group
BESIDE = ("experiment", "cell", "local")  # groups that set values of others
GROUPS = (*(name for name, kind in get_type_hints(Config).items() if is_dataclass(kind)), *BESIDE)


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


def is_known(key: str) -> bool:
    """Whether a key, or a group that sets others' values, can be overridden."""
    return key in known_keys() or key in GROUPS


def named_alike(word: str) -> list[str]:
    """The keys that end in ``word``, such as optim.lr in ``lr``, else the nearest one, if there is any."""
    ending = f".{word.lower().replace('-', '_')}"
    if found := [key for key in known_keys() if f".{key}".endswith(ending)]:
        return sorted(found, key=lambda key: (key.count("."), key.startswith("scale.")))  # a scale is seldom changed
    guess = nearest(word, (*known_keys(), *BESIDE))
    return [guess] if guess else []


def suggestions(word: str, value: str = "…") -> list[str]:
    """Settings to type for ``word=value``: by the field's other names, by the end of a key, by its letters."""
    if (key := synonyms.key_for(word)) is not None:
        return [synonyms.typed(key, word, value)]
    return [f"{key}={value}" for key in named_alike(word)]


def explain(error: BaseException, override: str = "") -> str:
    """One message for an error of composition: what is wrong, what is possible, what to type.

    override: The setting that led to it, if it is known.
    """
    if isinstance(error, OverrideParseException):
        return unreadable(error.override, error)
    if (secret := secret_in(error)) is not None:
        return str(secret)
    text = _whole_message(error)
    for explanation in (
        lambda text: _missing_key(text, override),
        _unknown_option,
        _unknown_group,
        _several_values,
        _unresolved,
        _missing_value,
        _group_as_value,
        _wrong_type,
    ):
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


def unreadable(override: str, error: BaseException) -> str:
    """What to say of an override that Hydra's grammar does not know."""
    key, equals, value = override.partition("=")
    evaluated = re.search(r"Error while evaluating '.*': (.*)|\w+Error while evaluating '.*': (.*)", str(error))
    if not equals:
        why = "it has no equal sign"
    elif not re.fullmatch(r"[\w.$/+@~-]+", key, re.ASCII):
        why = "there are letters in its key that no key has"
    elif evaluated:
        why = evaluated.group(1) or evaluated.group(2)
    elif value.count("'") % 2 or value.count('"') % 2:
        why = "a quote is not closed"
    elif any(value.count(a) != value.count(b) for a, b in ("[]", "{}", "()")):
        why = "a bracket is open or was never opened"
    elif re.search(r"^,|,\s*,|,$", value):
        why = "nothing stands on one side of a comma"
    else:
        why = "what means something to Hydra stands where it means nothing"
    return (
        f"{override} cannot be read: {why}; settings are typed as key=value, and a value with one of"
        f" , = : [ ] {{ }} ( ) in quotes of its own: \"{key or 'key'}='value'\""
    )


def _missing_key(text: str, override: str) -> str | None:
    found = re.search(r"[Kk]ey '([^']*)' (?:is )?not in (?:struct|'\w+')", text)
    if found is None:
        return None
    full = re.search(r"full_key: (\S+)", text)
    key = full.group(1) if full else found.group(1)
    typed, _, value = override.lstrip("+").partition("=")
    return unknown_key(key, value if typed.replace("/", ".") == key.replace("/", ".") and value else "…")


def unknown_key(key: str, value: str = "…") -> str:
    """What to say of a key that the configuration does not have."""
    if key in BESIDE:
        return f"a file of the group {key} sets values of others: its first line must be # @package _global_"
    possible = known_keys()
    parent = key.rpartition(".")[0]
    guesses = suggestions(key, value)
    if not guesses and parent not in ("", *possible):
        guesses = suggestions(parent)
    siblings = [k.removeprefix(f"{parent}.") for k in possible if k.rpartition(".")[0] == parent]
    message = f"{key} is no key of the configuration"
    if siblings:
        message += f"; possible{f' below {parent}' if parent else ''}: {', '.join(siblings)}"
    if not guesses:
        return f"{message}; python src/train.py --help shows every key"
    return f"{message}; did you mean {' or '.join(guesses)}?"


def _unknown_option(text: str) -> str | None:
    found = re.search(r"Could not (?:find|load) '(hydra/\w+|\w+)/([^']*)'", text)
    if found is None:
        return None
    group, given = found.groups()
    if group in BESIDE and given.partition("/")[0] in GROUPS:  # read below the folder of the file that names it
        other, _, option = given.partition("/")
        return f"{_file(text)}in its defaults {other}: {option} must be - override /{other}: {option}"
    options = re.findall(r"^\t(\S+)$", text, re.MULTILINE) or _files_of(group, text)
    guess = nearest(given, options)
    pass_ = synonyms.option_for(group, given) if given else None
    if pass_ is None and guess is None and given:
        pass_ = synonyms.of_others(group, given)
    shown = list(synonyms.nearest_first(given, options)) if group in BESIDE else options
    more = f" and {len(shown) - MOST_OPTIONS} more" if len(shown) > MOST_OPTIONS else ""
    message = f"{_file(text)}{group}={given} is unknown; possible: {', '.join(shown[:MOST_OPTIONS])}{more}"
    first = next(iter(shown), "<option>")
    return message + f"; pass {pass_ or f'{group}={guess or first}'}"


def _files_of(group: str, text: str) -> list[str]:
    """The options of a group, where Hydra names none: those in folders of their own, and the pieces of a list."""
    place = re.search(r"provider=main, path=file://(.*)", text)
    folder = Path(place.group(1)) / group if place else Path()
    return sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml")) if place else []


def _file(text: str) -> str:
    """The YAML file that a message is about, ready to begin one's own with; nothing if it is about no file."""
    found = re.search(r"In '([\w/]+)':", text)
    return f"{found.group(1)}.yaml: " if found and found.group(1) != "train" else ""


def _unknown_group(text: str) -> str | None:
    found = re.search(r"Could not override '([^']*)'", text)
    if found is None:
        return None
    given = found.group(1)
    message = f"{_file(text)}{given} is no group; possible: {', '.join(GROUPS)}"
    return f"{message}; did you mean {guess}?" if (guess := nearest(given, GROUPS)) else message


def _several_values(text: str) -> str | None:
    found = re.search(r"Ambiguous value for argument '(.*)'", text)
    if found is None:
        return None
    given = found.group(1)
    key, _, value = given.partition("=")
    if re.fullmatch(r"\d+,\d+", value) and type_of(key) == "a number":
        return f"{given} are two numbers; a decimal point is typed as {key}={value.replace(',', '.')}"
    listed = key in ("logger", "cell") or type_of(key).startswith("a list")
    also = f", or {key}=[{value}] for all of them at once" if listed else ""
    return f"{given} are several values; type {given} -m to try one after the other{also}"


def _unresolved(text: str) -> str | None:
    found = re.search(f"({'|'.join(UNRESOLVED)})", text)
    if found is None or "Missing mandatory value" in text:
        return None
    full = re.search(r"full_key: (\S+)", text)
    where = f"{full.group(1)} cannot be computed" if full else "a value cannot be computed"
    return f"{_file(text)}{where}: {found.group(1)}; values of others are named in full, as ${{scale.lr}}"


def _missing_value(text: str) -> str | None:
    found = re.search(r"Missing mandatory value: (\S+)", text)
    return f"{found.group(1)} must be given; pass {found.group(1)}=<{type_of(found.group(1))}>" if found else None


def _group_as_value(text: str) -> str | None:
    found = re.search(r"Merge error: \w+ is not a subclass of (\w+). value: (\S+)", text)
    groups = {cast(type, kind).__name__: name for name, kind in get_type_hints(Config).items() if is_dataclass(kind)}
    if found is None or found.group(1) not in groups:
        return None
    group, option = groups[found.group(1)], found.group(2)
    return f"{_file(text)}{group}: {option} is no option chosen; write it in defaults, as - override /{group}: {option}"


def _wrong_type(text: str) -> str | None:
    found = re.search(
        r"Value '(?P<value>.*?)'(?: of type '\w+')? (?:could not be converted|is not a valid)"
        r"|Invalid value '(?P<enum>.*?)', expected one of \[(?P<options>.*?)\]"
        r"|(?:Incompatible|Invalid) value '(?P<other>.*?)'"
        r"|is not Optional|Cannot convert|Cannot merge|Invalid type assigned|Invalid value assigned|is not a subclass",
        text,
    )
    full = re.search(r"full_key: (\S+)", text)
    if found is None or full is None:
        return None
    typed = re.search(r"Error merging override \+*([^=\n]+)=(.*)", text)
    key = typed.group(1) if typed else full.group(1)
    if not is_known(key.partition("[")[0]):
        return unknown_key(key) if key.partition(".")[0] in GROUPS else None
    given = typed.group(2) if typed else found.group("value") or found.group("enum") or found.group("other") or "null"
    if (options := found.group("options")) is not None:
        names = options.split(", ")
        guess = nearest(given, names) or names[0]
        return f"{_file(text)}{key}={given} is unknown; possible: {', '.join(names)}; pass {key}={guess}"
    if type_of(key).startswith("a whole number") and (numbers := synonyms.whole_numbers(given)) is not None:
        return invalid(key, "a whole number", given, f"Type {key}={numbers} -m to try one after the other")
    if not given:
        return f"{key}= has no value; it must be {type_of(key)}; pass {key}=<{type_of(key)}>"
    return f"{_file(text)}{key}={given} is of the wrong type; it must be {type_of(key)}; pass {key}=<{type_of(key)}>"


def type_of(key: str) -> str:
    """The type of a key as a person would say it."""
    kind: object = Config
    for part in key.split("."):
        kind = get_type_hints(kind).get(part.partition("[")[0]) if is_dataclass(kind) else kind
    if is_dataclass(kind) or key in GROUPS:
        return "an option"
    named = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return f"a list of {named[item].removeprefix('a ')}s in brackets"
    options = [option for option in (kind, *get_args(kind)) if isinstance(option, type)]
    null = ", or null" if type(None) in options else ""
    for option in options:
        if option in named:
            return named[option] + null
        if issubclass(option, Enum):
            return "one of " + ", ".join(member.name for member in option)
    return "a value of another type"
