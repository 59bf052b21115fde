"""What a configuration may have Hydra build, told before Hydra builds anything.

Hydra makes objects of names that stand in YAML: callbacks, launcher, sweeper, handlers of its log. It refuses the worst
of them itself, such as os.system; here all are refused that are not known to be needed.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import hydra._internal.hydra as hydra_itself
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from deit.config import hydra_settings, secrets
from deit.config.errors import ConfigError

BUILT = ("callbacks", "launcher", "sweeper", "hydra_logging", "job_logging")
"""The parts of Hydra's settings that it makes objects of."""
UNKNOWN = "a value that is known only later"


class Allowed(NamedTuple):
    """Names that may be built at a place; both are regular expressions that match as a whole."""

    place: str
    names: str
    told: str
    """The names as a person would say them."""


ALLOWED = (
    Allowed(
        r"callbacks\.\w+\._target_",
        r"deit\.config\.preflight\.Preflight|deit\.launch\.sweep\.Sweep",
        "those of conf/train.yaml",
    ),
    # Of these Hydra takes only the plugins that it has registered, so that no longer path leads through them.
    Allowed(
        r"(launcher|sweeper)\._target_",
        r"(hydra\._internal\.core_plugins|hydra_plugins)\.[\w.]+",
        "installed plugins of Hydra",
    ),
    Allowed(r"sweeper\.sampler\._target_", r"optuna\.samplers\.\w+", "optuna.samplers.<name>"),
    Allowed(
        r"\w+_logging\.handlers\.\w+\.class",
        r"logging\.(Stream|File|Null)Handler|deit\.config\.logfile\.LogFile",
        "logging.StreamHandler, logging.FileHandler, logging.NullHandler, deit.config.logfile.LogFile",
    ),
    Allowed(r"\w+_logging\.formatters\.\w+\.\(\)", r"colorlog\.ColoredFormatter", "colorlog.ColoredFormatter"),
    Allowed(r"\w+_logging\.handlers\.\w+\.stream", r"ext://sys\.(stdout|stderr)", "ext://sys.stdout, ext://sys.stderr"),
)


class CheckedLoader(ConfigLoaderImpl):
    """Composes configurations as Hydra does, and lets none pass that names what may not be built."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Raises ConfigError with every such name, and every secret; for the rest see Hydra's own."""
        composed = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        if found := [*problems(composed), *hydra_settings.problems(composed), *secrets.problems(composed)]:
            raise ConfigError.of(found)
        return composed

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        loaded = None if config_name is None else repo.load_config(config_path=config_name)
        primary = loaded.config if loaded is not None else None
        if isinstance(primary, DictConfig) and (found := list(hydra_settings.search_path_problems(primary))):
            raise ConfigError.of(found)
        super()._process_config_searchpath(config_name, parsed_overrides, repo)


def check_everything() -> None:
    """Have every configuration checked that Hydra composes from now on: of a run, of a sweep, of each of its jobs."""
    secrets.register()
    # Hydra builds callbacks and its log before it calls anything of ours, and offers no earlier place.
    hydra_itself.ConfigLoaderImpl = CheckedLoader  # pyright: ignore[reportPrivateImportUsage]


def problems(config: DictConfig) -> Iterator[str]:
    """Yield each name in Hydra's settings that may not be built where it stands."""
    for part in BUILT:
        for place, name in _names(config.hydra.get(part), (part,)):
            at = ".".join(place)
            allowed = [one for one in ALLOWED if re.fullmatch(one.place, at)]
            if not any(re.fullmatch(one.names, name) for one in allowed):
                possible = "; ".join(one.told for one in allowed) or "nothing"
                yield f"hydra.{at}={name} would be run as code; possible there: {possible}; leave it out"


def _names(node: object, place: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Every value below ``node`` that Hydra or Python's logging would take for the name of something to call."""
    if not isinstance(node, (DictConfig, ListConfig)) or node._is_none() or node._is_missing():
        return
    for key in node if isinstance(node, DictConfig) else range(len(node)):
        below, value = (*place, str(key)), _value(node, key)
        if isinstance(value, (DictConfig, ListConfig)):
            yield from _names(value, below)
        elif value == UNKNOWN or key in ("_target_", "()") or ("_logging" in place[0] and _is_looked_up(key, value)):
            yield below, str(value)


def _is_looked_up(key: object, value: object) -> bool:
    """Whether Python's logging imports what stands there."""
    return key == "class" or str(value).startswith("ext://")


def _value(node: DictConfig | ListConfig, key: object) -> object:
    """What stands at ``key``, interpolations resolved; `UNKNOWN` for what may yet turn out to be anything."""
    either: Any = node  # a mapping or a list, which are read alike
    held = either._get_node(key)
    if held is None or held._is_missing():
        return None
    try:
        return either[key]
    except OmegaConfBaseException:
        written = str(held._value())
        is_text = not (written.startswith("${") and written.endswith("}"))  # with letters around it, it is one
        return written if is_text else UNKNOWN
