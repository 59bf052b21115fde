"""Every job of a run or sweep is composed and checked before the first folder is made.

Hydra would check the jobs of a sweep one at a time, when each starts. It also turns exceptions in
callbacks into warnings, so ours raise nothing but `SystemExit`.
"""

import itertools
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deit.config import cells, ledger, processes, rules
from deit.config.compose import typed
from deit.config.errors import ConfigError, printable
from deit.config.mistakes import explain
from deit.config.notes import notes_of
from deit.config.schema import OF_SWEEP

EXIT_USER_ERROR = 2


class Preflight(Callback):
    """Hydra callback: refuses a run that cannot be; sweeps are `deit.launch.sweep`'s."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        with own_errors_end_the_program():
            given = list(config.hydra.overrides.task)
            problems, notes = check(config)
            problems += processes.problems(config)
            if config.init == OF_SWEEP and start_of(Path(config.hydra.run.dir)) is None:
                problems.append(cells.no_origin(given))
            if problems:
                refuse(str(ConfigError.of(problems)))
            if swept(config):
                notes.insert(0, f"this is one run of a grid of {len(expand(given, swept(config)))}; -m runs them all")
            say([*repeated(given), *notes])


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


@dataclass
class Grid:
    """The jobs of a sweep, composed and checked."""

    jobs: list[list[str]]
    """The overrides of each."""
    composed: list[DictConfig] = field(default_factory=list)
    """The configuration of each; as many as there are jobs if there are no problems."""
    starts: dict[int, int] = field(default_factory=dict)
    """From which job's weights a job starts, where it is to (``init=sweep``)."""
    problems: list[str] = field(default_factory=list)
    """Lines ready to print."""
    notes: list[str] = field(default_factory=list)
    """The notes of all jobs, each said once."""


def check_sweep(config: DictConfig) -> Grid:
    """Compose and check every job that ``config``, the base of a sweep, leads to."""
    grid = Grid(expand(list(config.hydra.overrides.task), swept(config)))
    origins = cells.origins(grid.jobs)
    notes: Counter[str] = Counter()
    num_invalid = 0
    for number, overrides in enumerate(grid.jobs):
        try:
            grid.composed.append(hydra.compose(config_name=config.hydra.job.config_name, overrides=overrides))
            problems, job_notes = check(grid.composed[-1])
            if grid.composed[-1].init == OF_SWEEP:
                if (origin := origins[number]) is None:
                    problems.append(cells.no_origin(overrides))
                else:
                    grid.starts[number] = origin
        except (ConfigError, HydraException) as error:
            problems, job_notes = [explain(error)], []
        notes.update(job_notes)
        if problems:
            num_invalid += 1
            grid.problems += [f"#{number} {' '.join(overrides)}", *(f"  - {text}" for text in problems)]
    if num_invalid:
        grid.problems.insert(0, f"{num_invalid} of {len(grid.jobs)} jobs are invalid; nothing was started:")
    grid.notes = [f"{note} ({count} of {len(grid.jobs)} jobs)" for note, count in notes.items()]
    return grid


def start_of(run: Path) -> Path | None:
    """The folder of the job that one with ``init=sweep`` starts from; None if no sweep has made its folder."""
    return cells.origin_of(run, ledger.FROZEN)


def refuse_drift(raw: DictConfig) -> None:
    """Refuse to run a job of a sweep as anything but what was checked before the sweep started.

    Raises:
        ConfigError: with the difference.
    """
    settings = HydraConfig.get()
    if is_multirun():
        frozen = ledger.frozen_file(Path(settings.sweep.dir), settings.job.num)
    else:  # a job in a process of its own, which has no sweep, or a run in no sweep's folder
        frozen = frozen_run(Path(settings.runtime.output_dir))
    if not frozen.is_file():
        return
    if found := ledger.difference(ledger.kept_text(frozen), as_yaml(raw)):
        changes = "\n".join(found)
        raise ConfigError(
            f"the configuration has changed since this sweep was checked:\n{changes}\n"
            "undo the change under conf/, or start a new sweep"
        )


def frozen_run(folder: Path) -> Path:
    """Where the configuration of a run in ``folder`` was kept, if that is a job's."""
    return ledger.frozen_file(folder.parent, folder.name)


def as_yaml(job: DictConfig) -> str:
    """What is kept of a job's configuration, and compared with: its values, however they were come by."""
    return OmegaConf.to_yaml(job, resolve=True, sort_keys=True)


def say(notes: list[str]) -> None:
    """Print ``notes`` once for all processes of a run."""
    if processes.rank() == 0:
        for note in notes:
            sys.stderr.write(f"note: {note}\n")


def refuse(message: str) -> NoReturn:
    """End the program for a mistake of the user's."""
    sys.stderr.write(f"{printable(message)}\n")
    raise SystemExit(EXIT_USER_ERROR)


@contextmanager
def own_errors_end_the_program() -> Iterator[None]:
    """Hydra logs a callback's exception and goes on unchecked; a fault of ours must end the program."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def is_multirun() -> bool:
    """Whether the running job is one of a sweep."""
    return HydraConfig.initialized() and str(HydraConfig.get().mode).endswith("MULTIRUN")
