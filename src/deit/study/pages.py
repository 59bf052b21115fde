"""Where the study's tables stand: between marks in pages that people write, or on a page of their own."""

import re
from collections.abc import Mapping, Sequence

from deit.config.errors import ConfigError
from deit.study import tables
from deit.study.settings import Setting

_BLOCK = re.compile(r"(<!-- study: (\w+) -->\n).*?(<!-- end of study -->)", re.DOTALL)

HEADINGS = {"claims": "The paper's claims", "accuracies": "Accuracies", "costs": "Runs"}
"""Of the blocks of a page of its own."""


def blocks(settings: Sequence[Setting], found: tables.Differences) -> dict[str, str]:
    """Every table by its name."""
    return {
        "claims": tables.claims_table(settings, found),
        "verdicts": tables.verdicts_table(settings, found),
        "accuracies": tables.accuracies_table(settings),
        "costs": tables.costs_table(settings),
    }


def filled(text: str, tables_by_name: Mapping[str, str]) -> str:
    """``text`` with each table between ``<!-- study: <name> -->`` and ``<!-- end of study -->``; the rest is as it was.

    Raises:
        ConfigError: where there is no such mark, or one names no table.
    """
    names = [name for _, name, _ in _BLOCK.findall(text)]
    if unknown := [name for name in names if name not in tables_by_name]:
        raise ConfigError(f"<!-- study: {unknown[0]} --> names no table; possible: {', '.join(tables_by_name)}")
    if not names:
        raise ConfigError("no <!-- study: claims --> and <!-- end of study --> to write a table between")
    return _BLOCK.sub(lambda match: f"{match[1]}{tables_by_name[match[2]]}{match[3]}", text)


def alone(tables_by_name: Mapping[str, str], figure_names: Sequence[str]) -> str:
    """A page of tables and figures, for runs that no prose was written about."""
    parts = ["# The study\n"]
    parts += [f"## {heading}\n\n{tables_by_name[name]}" for name, heading in HEADINGS.items()]
    parts += [f"![{name}]({name}.svg)\n" for name in figure_names]
    return "\n".join(parts)
