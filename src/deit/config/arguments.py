"""The command line before Hydra reads it: as Hydra understands it, and what is typed as other programs want it.

Hydra's own messages are about its grammar; these say what to type.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import HydraException

from deit.config import synonyms
from deit.config.errors import nearest
from deit.config.mistakes import GROUPS, is_known, named_alike, type_of, unreadable

NUMBERED_GROUPS = ("resolution",)  # their options are numbers, which Hydra takes for values
LISTS = ("logger", "cell")  # groups of which several options may be chosen at once
EXAMPLE = "settings are typed as key=value, such as model=deit_s"

WORDS = ("--help", "--hydra-help", "--version", "--multirun", "--resolve", "--run", "--shell-completion")
WORDS_WITH_VALUE = ("--cfg", "--package", "--config-path", "--config-name", "--config-dir", "--info")
SHORT = ("-h", "-m", "-r", "-sc")
SHORT_WITH_VALUE = ("-c", "-p", "-cp", "-cn", "-cd", "-i")

_FOREIGN = re.compile(r"[^\x20-\x7e]|[=;<>#!&^`~]")  # what Hydra reads within quotes alone
_GRAMMAR = re.compile(r"[][,(){}'\"\\$]")  # what means something to Hydra: whoever types it means it, or quotes it


def arranged(arguments: list[str]) -> list[str]:
    """The command line as Hydra understands it.

    ``-m`` and other flags may stand anywhere; beside ``--cfg``, which shows the base of a sweep, Hydra takes none.
    Numbered options, and texts such as ``init=epoch=3.ckpt``, need no quotes.
    """
    own = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    flags, settings = _apart(own)
    is_sweep = len(own) < len(arguments) and not {"-c", "--cfg"} & set(flags)
    return [*(["-m"] if is_sweep else []), *flags, *map(quoted, settings)]


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and settings, which argparse takes only where they stand together."""
    flags: list[str] = []
    settings: list[str] = []
    waiting = list(arguments)
    while waiting:
        one = waiting.pop(0)
        (flags if _is_flag(one) else settings).append(one)
        has_value = one in WORDS_WITH_VALUE + SHORT_WITH_VALUE and waiting
        if has_value and not (one in ("--info", "-i") and "=" in waiting[0]):  # whose value may be left out
            flags.append(waiting.pop(0))
    return flags, settings


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Of a command line, which configuration files it names: what a job of a sweep needs in a process of its own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for short, long in (("-cd", "--config-dir"), ("-cn", "--config-name"), ("-cp", "--config-path")):
        parser.add_argument(short, long)
    known, _ = parser.parse_known_args(arguments)
    return [f"--{name.replace('_', '-')}={value}" for name, value in vars(known).items() if value is not None]


def quoted(argument: str) -> str:
    """``resolution=160,384`` as Hydra wants a group's options to be written: ``resolution='160','384'``."""
    key, equals, value = argument.partition("=")
    options = value.split(",")
    if argument.startswith("-") or not equals:
        return argument
    if key in NUMBERED_GROUPS and all(option.isdecimal() for option in options):
        return f"{key}={','.join(repr(option) for option in options)}"
    return f"{key}='{value}'" if _FOREIGN.search(value) and not _GRAMMAR.search(value) else argument


def in_grammar(folder: Path) -> str:
    """A folder as Hydra's grammar wants it after ``=``."""
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


def problems(arguments: Sequence[str]) -> Iterator[str]:
    """Yield what of a command line Hydra would not understand, or not as it is meant."""
    waiting = list(arguments)
    while waiting:
        one = waiting.pop(0)
        if _is_flag(one):
            yield from _flag(one, waiting)
        elif (joined := _joined(one, waiting)) != one:
            yield f"there are spaces around the = of {joined}; type {joined}"
        else:
            yield from _setting(one)


def readable(arguments: Sequence[str]) -> list[str]:
    """The settings of a command line that Hydra understands."""
    _, settings = _apart(arguments)
    return [one for one in settings if "=" in one and not list(_setting(one)) and not one.startswith(("hydra", "~"))]


def config_folders(arguments: Sequence[str]) -> list[str]:
    """The folders that ``--config-dir`` names, as Hydra's search path has them."""
    flags = (flag.partition("=") for flag in config_flags(arguments))
    return [f"file://{Path(folder).absolute()}" for name, _, folder in flags if name == "--config-dir"]


def _is_flag(argument: str) -> bool:
    return bool(re.match(r"-+[A-Za-z]", argument))


def _flag(given: str, waiting: list[str]) -> Iterator[str]:
    name, equals, value = given.partition("=")
    if name in WORDS_WITH_VALUE + SHORT_WITH_VALUE:
        if not equals and waiting:
            waiting.pop(0)
        return
    if given == "--resolve" and not {"--cfg", "-c"} & {word.partition("=")[0] for word in waiting}:
        yield "--resolve shows the values of --cfg; type --resolve --cfg job"
    if given in WORDS + SHORT:
        return
    word = name.lstrip("-").replace("-", "_")
    keys = [word] if is_known(word) else named_alike(word)
    synonym = None if is_known(word) else synonyms.key_for(word)
    if keys or synonym:
        taken = not equals and waiting and not _is_flag(waiting[0]) and "=" not in waiting[0]
        value = waiting.pop(0) if taken else value
        if synonym:
            typed = synonyms.typed(synonym, word, value or f"<{type_of(synonym)}>")
        else:
            typed = " or ".join(f"{key}={value or f'<{type_of(key)}>'}" for key in keys)
        yield f"{given} is no option: settings have no dashes; type {typed}"
    else:
        flags = WORDS + WORDS_WITH_VALUE
        guess = nearest(name, flags) or "--help"
        yield f"{given} is no option; possible: {', '.join(flags)}; type {guess}"


def _joined(one: str, waiting: list[str]) -> str:
    """``model=deit_ti`` for what begins with ``one`` and has spaces around its equal sign; the rest is taken off."""
    if "=" not in one and waiting and waiting[0].startswith("="):
        one += waiting.pop(0)
    if one.endswith("=") and waiting and "=" not in waiting[0] and not _is_flag(waiting[0]):
        one += waiting.pop(0)
    return one


def _setting(given: str) -> Iterator[str]:
    """Yield what is wrong with one argument that should be a setting."""
    key, equals, value = given.partition("=")
    plain = key.lstrip("+")
    if not given.strip():
        yield f"an argument is empty: is it a shell variable that is not set? {EXAMPLE}"
    elif key != key.strip():
        yield f"there are spaces in the key of '{given}'; type {key.strip()}={value.strip()}"
    elif key.startswith("~") and not key.startswith("~hydra"):
        yield f"{given}: a setting cannot be taken away; leave it out, or pass {key[1:]}=<another value>"
    elif not equals:
        yield _no_equal_sign(given)
    elif not plain:
        yield f"{given} has no key; {EXAMPLE}"
    elif "@" in key:
        yield f"{given}: an option has its place here already; type {plain.partition('@')[0]}={value}"
    elif key.startswith("+") and (plain in GROUPS or (is_known(plain) and not key.startswith("++"))):
        yield f"{given}: {plain} is there already, nothing needs to be added; type {plain}={value}"
    elif value == "~" or value.startswith("~/"):
        yield f"{given}: the shell leaves ~ as it is there; type {key}=$HOME{value[1:]}"
    else:
        yield from _parsed(given)


def _no_equal_sign(given: str) -> str:
    key, colon, value = given.partition(":")
    if colon and is_known(key):
        return f"{given} has a colon for its equal sign; type {key}={value}"
    if is_known(given):
        return f"{given} has no value; type {given}=<{type_of(given)}>"
    if f"--{given}" in WORDS:
        return f"{given} is no setting; type --{given}"
    return f"{given} is no setting; {EXAMPLE}; type --help for all"


def _parsed(given: str) -> Iterator[str]:
    try:
        override = OverridesParser.create().parse_override(quoted(given))
    except HydraException as error:
        yield unreadable(given, error)
        return
    if override.key_or_group in GROUPS:
        yield from _option(given, override)


def _option(given: str, override: Override) -> Iterator[str]:
    """Yield what is wrong with what a group is set to, if that is no option's name."""
    group, value = override.key_or_group, override.value()
    choices = value.list if isinstance(value, ChoiceSweep) else [] if override.is_sweep_override() else [value]
    names = [name for one in choices for name in (one if isinstance(one, list) else [one])]
    if not all(isinstance(name, (str, QuotedString)) for name in names):
        yield f"{given}: the options of {group} have names; leave it out, or type --help to see them"
    elif group not in LISTS and (several := next((one for one in choices if isinstance(one, list)), None)) is not None:
        listed = ",".join(map(str, several))
        yield f"{given}: {group} is one option at a time; type {group}={listed} -m to try one after the other"
