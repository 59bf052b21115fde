"""Runs a Hydra application so that a user's mistake ends in one message and exit status 2."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from deit.config import every_mistake, processes, streams, yaml_files
from deit.config.arguments import arranged, config_flags, problems
from deit.config.errors import FULL, ConfigError, RunError, nearest, printable
from deit.config.mistakes import explain
from deit.config.preflight import MEASURE_ONLY, check, refuse
from deit.config.refusal import JobFailed

SILENT = ("hydra/job_logging=disabled", "~hydra.job_logging.handlers")
INTERRUPTED = 130  # the exit status of what the keyboard ended


def asks_for_plan(arguments: list[str]) -> bool:
    """Whether the run is only to be planned."""
    return any(argument.lower() in ("plan=true", "plan=yes", "plan=on", "plan=1") for argument in arguments)


def take_action(actions: Sequence[str], usage: str | None) -> str:
    """The word that the command line begins with, taken off it; without one of ``actions`` the program ends."""
    streams.keep_open()
    if len(sys.argv) > 1 and sys.argv[1] in actions:
        return sys.argv.pop(1)
    _answer_help(sys.argv[1:2], usage)
    given = f"{sys.argv[1]} is no action" if len(sys.argv) > 1 else "an action must be given"
    meant = next((word for argument in sys.argv[1:] if (word := nearest(argument, actions))), actions[0])
    command = f"python src/{Path(sys.argv[0]).name} {meant} <settings>"
    refuse(f"{given}; possible: {', '.join(actions)}; the action comes first; type {command}\n\n{usage}".rstrip())


def take_words(names: Sequence[str], usage: str | None) -> dict[str, str]:
    """What is given as ``name=value`` for one of ``names``, taken off the command line: values by name."""
    streams.keep_open()
    _answer_help(sys.argv[1:], usage)
    pairs = [argument.partition("=") for argument in sys.argv[1:]]
    if doubles := [name for name in names if [one for one, *_ in pairs].count(name) > 1]:
        refuse(f"{doubles[0]} must be given once, got it twice. Pass {doubles[0]}=<value> once.")
    sys.argv[1:] = ["".join(pair) for pair in pairs if pair[0] not in names]
    return {name: value for name, _, value in pairs if name in names}


def _answer_help(arguments: list[str], usage: str | None) -> None:
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(f"{usage}")
        raise SystemExit(0)


def _call(application: Callable[[], object]) -> None:
    try:
        application()
    except JobFailed as failed:
        raise failed.error from failed.error.__cause__


def _explained(error: Exception, typed: Sequence[str]) -> str:
    """The message of ``error``, or all problems of the command line where it could not be composed."""
    whole = explain(error)
    if isinstance(error, ConfigError):  # one of ours, which has all of its kind
        return whole
    several = [whole] if "are several values" in whole or "are two numbers" in whole else []
    return str(ConfigError.of([*several, *_others(typed)] or [whole]))


def _others(typed: Sequence[str]) -> list[str]:
    """Problems of the settings of a command line by themselves; none where it has a configuration file of its own."""
    if any(flag.startswith(("--config-name", "--config-path")) for flag in config_flags(typed)):
        return []
    trains = Path(sys.argv[0]).stem not in MEASURE_ONLY
    return every_mistake.of_command(typed, lambda raw: check(raw, trains=trains)[0])


def run(application: Callable[[], object], *, leaves_folder: bool = True) -> None:
    """Call ``application``, a function decorated with ``hydra.main``.

    leaves_folder: whether it is a run, which has a folder; a plan never has one.

    Mistakes in overrides or YAML and every `ConfigError` are printed without a traceback, as is a
    `RunError`, with exit status 1. Anything else is a fault of the program or of the world and keeps
    its traceback, with exit status 1.
    """
    streams.keep_open()
    # Hydra prints errors itself and exits with 1, unless it is asked for full ones: then they arrive here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    silent = list(SILENT) if processes.rank() else []  # train.log is the first process's to write
    arguments = arranged([*silent, *sys.argv[1:]])
    typed = list(sys.argv[1:])
    try:
        wrong = list(problems(typed))
        if {"-h", "--help"} & set(typed) and (found := [*wrong, *_others(typed)]):
            sys.stderr.write(f"{printable(ConfigError.of(found))}\n\n")
            arguments = ["--help"]  # which shows what is possible
        elif wrong:
            refuse(str(ConfigError.of([*wrong, *_others(typed)])))
        if leaves_folder and not asks_for_plan(arguments):
            sys.argv[1:] = arguments
            _call(application)
            return
        # Hydra makes a folder before anything runs.
        with tempfile.TemporaryDirectory() as folder:
            elsewhere = [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
            sys.argv[1:] = arranged([*silent, *elsewhere, *sys.argv[1:]])
            _call(application)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except RunError as error:
        sys.stderr.write(f"{printable(error)}\n")
        raise SystemExit(1) from None
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        refuse(_explained(error, typed))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            place = error.filename or "a file"
            sys.stderr.write(f"{place} cannot be written ({error.strerror}); make room and start again\n")
            raise SystemExit(1) from None
        # What goes wrong before Hydra has composed is in a file that it cannot read, of which it says little.
        if HydraConfig.initialized() or not (wrong := yaml_files.problems(sys.argv)):
            raise
        refuse(str(ConfigError.of(wrong)))
