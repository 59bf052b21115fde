"""Checks of Hydra's own settings. Those that the program would not honour and those that run commands are rejected.

Anyone's experiment file may set them. A setting that runs commands is accepted from the command line and from the
user's own ``conf/local`` alone.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from deit.config.errors import invalid

CONF = Path(__file__).parents[3] / "conf"
COMMANDS = ("setup", "python", "srun_args", "additional_parameters", "submitit_folder", "custom_search_space")
"""Settings of launchers and sweepers that are commands, or that lead to code."""
HARMLESS = "requeue"  # of additional_parameters, which conf/resources sets
FOLDER, NUMBER = "/output", 12345  # stand for a job's folder and number, which Hydra sets when the job starts


def problems(config: DictConfig) -> Iterator[str]:
    """Yield a problem for each setting of a composed configuration that is not honoured or not trusted."""
    job = config.copy()
    with read_write(job), open_dict(job):
        job.hydra.runtime.output_dir, job.hydra.job.num, job.hydra.job.id = FOLDER, NUMBER, str(NUMBER)
    yield from _environment(job.hydra.job)
    yield from _places(job.hydra)
    yield from _log_files(job.hydra)
    for part in ("launcher", "sweeper"):
        if isinstance(job.hydra.get(part), DictConfig):
            yield from _commands(job.hydra, part)


def search_path_problems(primary: DictConfig) -> Iterator[str]:
    """Yield the packages among the search path of a primary configuration file: Hydra would import them."""
    for place in OmegaConf.select(primary, "hydra.searchpath") or []:
        if str(place).startswith("pkg:"):
            yield invalid(
                "hydra.searchpath", "folders, because a package is run to be read", place, "Pass file://<folder>"
            )


def _environment(job: DictConfig) -> Iterator[str]:
    if names := [str(name) for name in job.env_set]:
        exports = " ".join(f"export {name}=<value>" for name in names)
        yield invalid(
            "hydra.job.env_copy" if set(names) <= set(job.env_copy) else "hydra.job.env_set",
            "empty because a variable can make a run start another program, and may hold a secret",
            ", ".join(names),
            f"Leave it out and type {exports} first: jobs inherit the environment",
        )


def _places(settings: DictConfig) -> Iterator[str]:
    """Yield the settings that would put a job elsewhere than the other commands look for it."""
    if settings.job.chdir:
        yield invalid("hydra.job.chdir", "false because paths are relative to where you type", "true", "Leave it out")
    program = JobRuntime().get("name")
    if not re.fullmatch(rf"{re.escape(program)}|train_ddp_process_\d+", settings.job.name):  # Lightning names ranks so
        yield invalid("hydra.job.name", f"{program}, the program's name", settings.job.name, "Leave it out")
    if settings.output_subdir is not None:
        why = "null because config.yaml and run.json record what Hydra would write there"
        yield invalid("hydra.output_subdir", why, settings.output_subdir, "Leave it out")
    if _value(settings.sweep, "subdir") != str(NUMBER):
        why = "${hydra.job.num} because the jobs of a sweep are found by their numbers"
        yield invalid("hydra.sweep.subdir", why, _written(settings.sweep, "subdir"), "Leave it out")
    for key in settings.sweeper.get("params") or {}:
        if str(key).lstrip("+~").startswith(("hydra.", "hydra/")):
            yield invalid("hydra.sweeper.params", "without Hydra's own settings", key, f"Pass {key}=<value> instead")


def _log_files(settings: DictConfig) -> Iterator[str]:
    """Yield the log files outside a run's folder: a log in a file that a shell reads at its start runs commands."""
    for part in ("job_logging", "hydra_logging"):
        handlers = (settings.get(part) or {}).get("handlers") or {}
        for name in handlers:
            key, handler = f"hydra.{part}.handlers.{name}", handlers[name]
            if not isinstance(handler, DictConfig):
                continue
            if "." in handler:
                yield invalid(
                    key, "without the key '.' because it changes a log once it is open", "one", "Leave it out"
                )
            file = os.path.normpath(str(_value(handler, "filename"))) if "filename" in handler else f"{FOLDER}/.log"
            if not (file.startswith(f"{FOLDER}/") and file.endswith(".log")):
                kind = "a file in the run's folder such as ${hydra.runtime.output_dir}/mine.log"
                yield invalid(f"{key}.filename", kind, file.removeprefix(f"{FOLDER}/"), "Leave it out")


def _commands(settings: DictConfig, part: str) -> Iterator[str]:
    """Yield the settings of a launcher or sweeper that run commands, unless they are the user's own."""
    choices = settings.runtime.choices
    usual = _usual(f"hydra/{part}/{choices.get(f'hydra/{part}')}.yaml")
    own = _own_file(str(choices.get("local")), part)
    typed = {str(one).lstrip("+").partition("=")[0] for one in _plain(settings.overrides.hydra)}
    for name in map(str, settings[part]):
        key, value = f"hydra.{part}.{name}", _value(settings[part], name)
        if name == "params":
            continue  # overrides, which are checked as such
        if any(not letter.isprintable() for text in _texts(value) for letter in text):
            yield invalid(key, "without line breaks and control characters", repr(value), f"Pass {key}=<text>")
        is_typed = name in own or any(one == key or one.startswith(f"{key}.") for one in typed)
        if name in COMMANDS and not is_typed and _without(settings[part]._get_node(name)) != usual.get(name):
            why = "typed on the command line or set in conf/local because it can run commands"
            yield invalid(key, why, f"{value} from another file", f"Pass {key}=<value> if you trust it")


def _usual(file: str) -> dict[str, object]:
    """The values that a plugin's settings have by themselves, of commands alone."""
    store = ConfigStore.instance()
    node = store.load(file).node if file.rpartition("/")[2] in (store.list(file.rpartition("/")[0]) or []) else None
    return {name: _without(node._get_node(name)) for name in COMMANDS if node is not None and name in node}


def _without(node: object) -> object:
    """The value of ``node``, interpolations kept, less what conf/resources sets."""
    if isinstance(node, (DictConfig, ListConfig)):
        value = _plain(node)
        return {key: item for key, item in value.items() if key != HARMLESS} if isinstance(value, dict) else value
    return node._value()  # pyright: ignore[reportAttributeAccessIssue] - a node of OmegaConf's


def _plain(node: DictConfig | ListConfig) -> Any:  # noqa: ANN401 - any value of YAML
    """The value of ``node`` as Python has it, interpolations kept."""
    return OmegaConf.to_container(node, resolve=False)


def _own_file(name: str, part: str) -> set[str]:
    """The settings of ``part`` in the user's own defaults, which git ignores."""
    file = CONF / "local" / f"{name}.yaml"
    try:
        held = yaml.safe_load(file.read_text(encoding="utf-8"))["hydra"][part]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return set()
    return set(map(str, held)) if isinstance(held, dict) else set()


def _texts(value: object) -> Iterator[str]:
    """Every text in ``value``, keys included."""
    if isinstance(value, DictConfig):
        for key in value:
            yield str(key)
            yield from _texts(_value(value, str(key)))
    elif isinstance(value, ListConfig):
        for index in range(len(value)):
            yield from _texts(_value(value, index))
    else:
        yield str(value)


def _value(node: DictConfig | ListConfig, key: str | int) -> object:
    """The value at ``key``, as written where its interpolations cannot be resolved."""
    try:
        value = node[key]  # pyright: ignore[reportArgumentType] - a mapping's key or a list's index
    except OmegaConfBaseException:
        return _written(node, key)
    return value


def _written(node: DictConfig | ListConfig, key: str | int) -> object:
    return node._get_node(key)._value()  # pyright: ignore[reportArgumentType, reportOptionalMemberAccess, reportAttributeAccessIssue]
