"""Every job of a run or sweep is composed and checked before the first folder is made.

Hydra would check the jobs of a sweep one at a time, when each starts. It also turns exceptions in
callbacks into warnings, so this one raises nothing but `SystemExit`.
"""

import difflib
import itertools
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deit.config import cells, rules
from deit.config.compose import typed
from deit.config.errors import ConfigError
from deit.config.mistakes import explain
from deit.config.notes import notes_of
from deit.config.schema import OF_SWEEP

EXIT_USER_ERROR = 2
FROZEN = ".preflight"  # folder in a sweep's: each job's configuration as it was checked


class Preflight(Callback):
    """Hydra callback: refuses what cannot run, with one message for all jobs."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        with _own_errors_end_the_program():
            given = list(config.hydra.overrides.task)
            problems, notes = check(config)
            if config.init == OF_SWEEP and start_of(Path(config.hydra.run.dir)) is None:
                problems.append(cells.no_origin(given))
            if problems:
                refuse(str(ConfigError.of(problems)))
            if swept(config):
                notes.insert(0, f"this is one run of a grid of {len(expand(given, swept(config)))}; -m runs them all")
            _say([*repeated(given), *notes])

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        with _own_errors_end_the_program():
            problems, notes, composed = check_sweep(config)
            if problems:
                refuse("\n".join(problems))
            _say([*repeated(list(config.hydra.overrides.task)), *notes])
            _freeze(config, composed)


def check(raw: DictConfig) -> tuple[list[str], list[str]]:
    """Problems and notes of one composed configuration."""
    try:
        config = typed(raw)
    except (ConfigError, OmegaConfBaseException) as error:
        return [explain(error)], []
    return rules.problems(config), notes_of(config)


def repeated(overrides: list[str]) -> list[str]:
    """A note for each key that was given more than once, of which Hydra takes the last."""
    given = [override.partition("=")[0] for override in overrides]
    last = {key: override for key, override in zip(given, overrides, strict=True)}
    return [f"{key} is given {count} times; {last[key]} counts" for key, count in Counter(given).items() if count > 1]


def swept(config: DictConfig) -> dict[str, str]:
    """What an experiment's file sweeps over, by key, as one would type it (``hydra.sweeper.params``)."""
    return {str(key): str(value) for key, value in (config.hydra.sweeper.get("params") or {}).items()}


def expand(overrides: list[str], params: Mapping[str, str] | None = None) -> list[list[str]]:
    """The overrides of each job of a sweep, in the order in which Hydra's basic sweeper numbers them.

    params: What the sweeper's own settings sweep over; ``overrides`` win.
    """
    own = [f"{key}={value}" for key, value in (params or {}).items()]
    axes: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides([*own, *overrides]):
        key = override.get_key_element()
        if override.is_sweep_override() and override.is_discrete_sweep():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        elif not override.is_sweep_override():  # a continuous interval is chosen by an optimising sweeper later
            assert override.input_line is not None
            axes[key] = [override.input_line]
    return [list(job) for job in itertools.product(*axes.values())]


def check_sweep(config: DictConfig) -> tuple[list[str], list[str], list[DictConfig]]:
    """Problems of all jobs as lines ready to print, the notes of all jobs, each said once, and the jobs composed."""
    jobs = expand(list(config.hydra.overrides.task), swept(config))
    starts = cells.origins(jobs)
    lines: list[str] = []
    notes: Counter[str] = Counter()
    composed: list[DictConfig] = []
    num_invalid = 0
    for number, overrides in enumerate(jobs):
        try:
            composed.append(hydra.compose(config_name=config.hydra.job.config_name, overrides=overrides))
            problems, job_notes = check(composed[-1])
            if composed[-1].init == OF_SWEEP and starts[number] is None:
                problems.append(cells.no_origin(overrides))
        except HydraException as error:
            problems, job_notes = [explain(error)], []
        notes.update(job_notes)
        if problems:
            num_invalid += 1
            lines += [f"#{number} {' '.join(overrides)}", *(f"  - {text}" for text in problems)]
    if num_invalid:
        lines.insert(0, f"{num_invalid} of {len(jobs)} jobs are invalid; nothing was started:")
    return lines, [f"{note} ({count} of {len(jobs)} jobs)" for note, count in notes.items()], composed


def _freeze(config: DictConfig, composed: list[DictConfig]) -> None:
    """Keep what each job was checked as, so that YAML edited while a sweep runs does not change queued jobs."""
    if "BasicSweeper" not in config.hydra.sweeper._target_:
        return  # other sweepers choose values as they go
    folder = Path(config.hydra.sweep.dir) / FROZEN
    folder.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(composed):
        (folder / f"{number}.yaml").write_text(OmegaConf.to_yaml(job, sort_keys=True), encoding="utf-8")
    starts = cells.origins(expand(list(config.hydra.overrides.task), swept(config)))
    fine_tuned = {n: start for n, start in enumerate(starts) if start is not None and composed[n].init == OF_SWEEP}
    cells.keep(folder, fine_tuned)


def start_of(run: Path) -> Path | None:
    """The folder of the job that one with ``init=sweep`` starts from; None if no sweep has made its folder."""
    return cells.origin_of(run, FROZEN)


def refuse_drift(raw: DictConfig) -> None:
    """Refuse to run a job of a sweep as anything but what was checked before the sweep started.

    Raises:
        ConfigError: with the difference.
    """
    if not is_multirun():
        return
    frozen = Path(HydraConfig.get().sweep.dir) / FROZEN / f"{HydraConfig.get().job.num}.yaml"
    if not frozen.is_file():
        return
    was, now = frozen.read_text(encoding="utf-8"), OmegaConf.to_yaml(raw, sort_keys=True)
    if was != now:
        difference = "\n".join(
            difflib.unified_diff(was.splitlines(), now.splitlines(), "checked", "now", lineterm="", n=1)
        )
        raise ConfigError(
            f"the configuration has changed since this sweep was checked:\n{difference}\n"
            "undo the change under conf/, or start a new sweep"
        )


def _say(notes: list[str]) -> None:
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:  # the other processes of a run would say it again
        for note in notes:
            sys.stderr.write(f"note: {note}\n")


def refuse(message: str) -> NoReturn:
    """End the program for a mistake of the user's."""
    sys.stderr.write(message + "\n")
    raise SystemExit(EXIT_USER_ERROR)


@contextmanager
def _own_errors_end_the_program() -> Iterator[None]:
    """Hydra logs a callback's exception and goes on unchecked; a fault of ours must end the program."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def is_multirun() -> bool:
    """Whether the running job is one of a sweep."""
    return HydraConfig.initialized() and str(HydraConfig.get().mode).endswith("MULTIRUN")
