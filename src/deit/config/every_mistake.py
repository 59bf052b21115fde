"""All mistakes of a command line at once: each setting is composed by itself after the whole has failed."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deit.config.arguments import config_folders, quoted, readable
from deit.config.errors import ConfigError
from deit.config.mistakes import explain, suggestions

CONF = Path(__file__).parents[3] / "conf"
MOST_VALUES = 20  # of a sweep's axis that are composed
MISTAKES = (ConfigError, HydraException, OmegaConfBaseException)


def of_command(arguments: Sequence[str], check: Callable[[DictConfig], list[str]]) -> list[str]:
    """Problems of the settings of a command line, each composed by itself, and of the rules between the right ones.

    check: Returns the problems of a configuration.
    """
    settings = readable(arguments)
    if not {"-m", "--multirun"} & set(arguments):
        settings = [one for one in settings if list(_values(one)) == [one]]  # several values are a mistake of their own
    with _own_hydra():
        places = (
            [f"hydra.searchpath=[{','.join(map(repr, folders))}]"] if (folders := config_folders(arguments)) else []
        )
        wrong = {one: text for one in settings if (text := _alone(one, tuple(places))) is not None}
        found = list(wrong.values())
        first = [next(iter(_values(one)), one) for one in settings if one not in wrong]  # the first job of a sweep
        meant = [guess for one in wrong for guess in suggestions(*one.partition("=")[::2])[:1]]
        composed = _composed([*first, *meant, *places]) or _composed([*first, *places])
        found += check(composed) if composed is not None else []
    return list(dict.fromkeys(found))


def of_job(overrides: Sequence[str], error: Exception) -> list[str]:
    """Problems of the settings of a job whose composition ended in ``error``."""
    found = [text for one in overrides if (text := _alone(one, ())) is not None]
    return list(dict.fromkeys(found)) or [explain(error)]


@lru_cache(maxsize=1024)  # the jobs of a sweep share most of their settings
def _alone(override: str, places: tuple[str, ...]) -> str | None:
    """The problem of a setting by itself, or of the first of its values that has one; None if there is none."""
    for one in _values(override):
        try:
            hydra.compose(config_name="train", overrides=[quoted(one), *places])
        except MISTAKES as error:
            return explain(error, one)
    return None


def _values(override: str) -> Iterator[str]:
    """The values of an axis of a sweep as settings of their own."""
    try:
        parsed = OverridesParser.create().parse_override(quoted(override))
        if not parsed.is_sweep_override() or not parsed.is_discrete_sweep():
            yield override
            return
        values = list(itertools.islice(parsed.sweep_string_iterator(), MOST_VALUES))
    except (HydraException, ValueError, TypeError):
        return
    for value in values:
        yield f"{parsed.get_key_element()}={value}"


def _composed(overrides: Sequence[str]) -> DictConfig | None:
    try:
        return hydra.compose(config_name="train", overrides=list(map(quoted, overrides)))
    except MISTAKES:
        return None


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Hydra as it is where nothing has started."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before
