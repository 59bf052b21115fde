"""From YAML files and overrides to one typed, checked `Config`."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from deit.config import resources, rules, targets
from deit.config.errors import ConfigError
from deit.config.execution import epochs_at_scale
from deit.config.mistakes import known_keys, unknown_key
from deit.config.network import deit3_finetuned_drop_path
from deit.config.own_data import loader_workers, patch_for, published_student
from deit.config.schema import Config

# What a run is called, where it runs, what it writes beside metrics.csv and why it has its values (which are there
# themselves) do not change what it computes.
NOT_FINGERPRINTED = ("name", "resume", "plan", "logger", "resources")
NOT_FINGERPRINTED_KEYS = (
    ("own", "choice"),
    ("own", "reasons"),
    ("own", "hours"),
    ("data", "root"),
    ("data", "workers"),
    ("data", "on_error"),
    ("data", "download"),
    ("data", "pack_path"),
    ("trainer", "progress"),
    ("trainer", "checkpoint_minutes"),
    ("trainer", "checkpoint_steps"),
)

OF_A_MEASUREMENT = ("epochs", "teacher_epochs")  # of group own: left out unless set, as runs of before lack them


def register() -> None:
    """Make the root dataclass the type of every YAML file, and have all checked; call it before Hydra composes any."""
    targets.check_everything()
    ConfigStore.instance().store(name="schema", node=Config)
    for called in (
        *(epochs_at_scale, deit3_finetuned_drop_path, published_student, patch_for, loader_workers),
        *(resources.cpus_for, resources.gpus_for, resources.minutes),
    ):
        OmegaConf.register_new_resolver(called.__name__, called, replace=True)


def typed(raw: DictConfig) -> Config:
    """The dataclasses that ``raw`` was composed against, interpolations resolved.

    Raises:
        ConfigError: for values that must be given and are not, and for keys that nothing reads (``+key=value``).
    """
    own = raw.copy()
    with open_dict(own):
        own.pop("hydra", None)  # Hydra's settings ride along in callbacks
    if missing := sorted(OmegaConf.missing_keys(own)):
        raise ConfigError.of([f"{key} must be given; pass {key}=<value>" for key in missing])
    if added := [key for key in _leaves(own) if key not in known_keys()]:
        raise ConfigError.of([unknown_key(key) for key in added])
    return cast(Config, OmegaConf.to_object(own))


def _leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key below ``node`` that holds no group."""
    for key in node:
        if OmegaConf.is_dict(child := node._get_node(key)):
            yield from _leaves(cast(DictConfig, child), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def resolve(raw: DictConfig, *, trains: bool = True) -> Config:
    """The typed configuration, all rules checked; trains: whether the data must have images to train on.

    Raises:
        ConfigError: naming every problem at once.
    """
    config = typed(raw)
    if problems := rules.problems(config, trains=trains):
        raise ConfigError.of(problems)
    return config


def recorded(values: Mapping[str, object], file: Path) -> Config:
    """The configuration that ``file`` says it was made with, as `plain` gave it.

    Raises:
        ConfigError: for what is no such record, as of another release of this program.
    """
    try:
        return cast(Config, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), dict(values))))
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{file} was made with settings that are not understood here ({reason}); read it with the release that"
            " made it, or pass another file"
        ) from None


def plain(value: object) -> object:
    """A dataclass (or any part of one) as dicts, lists, strings and numbers, for YAML and JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def digest(value: object) -> str:
    """SHA-256 of plain data, independent of the order of keys."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def fingerprint(config: Config) -> str:
    """What two runs have in common exactly if they compute the same thing."""
    return digest(computed(cast(dict, plain(config))))


def computed(values: dict) -> dict:
    """Of a configuration as plain data, without what does not change what is computed; keys may be missing."""
    left_out = {group: {key for g, key in NOT_FINGERPRINTED_KEYS if g == group} for group, _ in NOT_FINGERPRINTED_KEYS}
    left_out["own"] = left_out["own"] | {key for key in OF_A_MEASUREMENT if values.get("own", {}).get(key) is None}
    return {
        group: {key: item for key, item in value.items() if key not in left_out[group]} if group in left_out else value
        for group, value in values.items()
        if group not in NOT_FINGERPRINTED
    }
