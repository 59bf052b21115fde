"""The cells of a grid that is no plain product, and which of them starts from which.

A cell is a list of pieces of the group ``cell``, such as ``[token,b,up_384]``: what is trained, read from left to
right. Where ``init=sweep``, a job starts from the best weights of an earlier job of its sweep: the one whose cell is
the longest beginning of its own, every other override being the same. Which one that is, is found before the sweep
starts and kept in the sweep's folder.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from deit.config import sealed
from deit.config.errors import ConfigError
from deit.config.schema import OF_SWEEP, Config

GROUP = "cell"
ORIGINS = "origins.yaml"

Cell = tuple[str, ...]


def split(overrides: Sequence[str]) -> tuple[Cell, frozenset[str]]:
    """The cell that a job's overrides name, and the other overrides."""
    mine = [override for override in overrides if override.startswith(f"{GROUP}=")]
    others = frozenset(override for override in overrides if override not in mine)
    if not mine:
        return (), others
    value = OverridesParser.create().parse_override(mine[-1]).value()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),), others


def origins(jobs: Sequence[Sequence[str]]) -> list[int | None]:
    """The number of the job that each job of a sweep would start from; None where there is none before it."""
    known: dict[tuple[frozenset[str], Cell], int] = {}
    found: list[int | None] = []
    for number, overrides in enumerate(jobs):
        cell, others = split(overrides)
        beginnings = (cell[:length] for length in range(len(cell) - 1, 0, -1))
        found.append(next((known[others, part] for part in beginnings if (others, part) in known), None))
        known.setdefault((others, cell), number)
    return found


def no_origin(overrides: Sequence[str]) -> str:
    """What to say of a job that starts from another one which there is not."""
    cell, _ = split(overrides)
    given = f"cell=[{','.join(cell)}]" if cell else "this run"
    return (
        f"init={OF_SWEEP}, but no job before {given} of the same sweep has the beginning of its cell and the same other"
        f" settings; pass a sweep that has, such as cell=[b],[b,up_384] with -m, or init=<checkpoint of a student>"
    )


def keep(folder: Path, starts: dict[int, int]) -> None:
    """Write into ``folder`` from which job each of a sweep's jobs starts."""
    sealed.write_text(folder / ORIGINS, yaml.safe_dump(starts))


def origin_of(run: Path, frozen: str) -> Path | None:
    """The folder of the job that ``run``, a job's folder, starts from; None if no sweep has said so.

    frozen: Name of the folder in the sweep's that `keep` has written to.

    Raises:
        ConfigError: if what it has written is damaged.
    """
    file = run.parent / frozen / ORIGINS
    if not run.name.isdecimal() or not file.is_file():
        return None
    try:
        starts = yaml.safe_load(sealed.read_text(file))
    except (ValueError, RecursionError, yaml.YAMLError):
        starts = None
    if not isinstance(starts, dict) or not all(isinstance(number, int) for pair in starts.items() for number in pair):
        raise ConfigError(f"{file} is damaged; delete it, and start the sweep again into its folder")
    number = starts.get(int(run.name))
    return None if number is None else run.parent / str(number)


def placed(config: Config, overrides: Sequence[str], origin: Path | None) -> Config:
    """``config`` as a job of its sweep: its cell in its name, a file as its ``init``.

    Raises:
        ConfigError: if it starts from another job and ``origin``, the folder of that one, is not known.
    """
    cell, _ = split(overrides)
    config = replace(config, name="-".join((config.name, *cell)))
    if config.init != OF_SWEEP:
        return config
    if origin is None:
        raise ConfigError(no_origin(overrides))
    return replace(config, init=str(origin / "checkpoints" / "best.ckpt"))
