"""Every job of a run or sweep is composed and checked before the first folder is made.

Hydra would check the jobs of a sweep one at a time, when each starts. It also turns exceptions in
callbacks into warnings, so ours raise nothing but `SystemExit`.
"""

import itertools
import math
import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, cast

import hydra
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Sweep
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deit.config import cells, ledger, processes, rules
from deit.config.compose import typed
from deit.config.errors import ConfigError, printable
from deit.config.every_mistake import of_job
from deit.config.mistakes import explain
from deit.config.notes import notes_of
from deit.config.refusal import JobFailed, forget
from deit.config.schema import OF_SWEEP

EXIT_USER_ERROR = 2
WRITTEN = ("train.log", ".lock")  # files that grow; all others are replaced as a whole, and links with them
MEASURE_ONLY = ("evaluate",)  # scripts in src/ that need no images to train on
MOST_NAMED = 20  # jobs of which a fault names the numbers
MOST_JOBS = 10_000  # each is composed before the first one starts, in a tenth of a second or so


class Preflight(Callback):
    """Hydra callback: refuses a run that cannot be; sweeps are `deit.launch.sweep`'s."""

    def __init__(self) -> None:
        self.there: Path | None = None  # the part of the run's path that existed before; None if a run is there
        self.nowhere: tempfile.TemporaryDirectory[str] | None = None

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        with own_errors_end_the_program():
            folder = Path(config.hydra.run.dir)
            if not folder.exists() and not frozen_run(folder).is_file():
                self.there = next(path for path in (*folder.absolute().parents,) if path.exists())
            given = typed_overrides(config.hydra)
            problems, notes = check(config, trains=config.hydra.job.name not in MEASURE_ONLY)
            problems += [*processes.problems(config), *folder_problems("hydra.run.dir", config.hydra.run.dir)]
            if config.init == OF_SWEEP and start_of(Path(config.hydra.run.dir)) is None:
                problems.append(cells.no_origin(given))
            if problems:
                refuse(str(ConfigError.of(problems)))
            if swept(config):
                notes.insert(0, f"this is one run of a grid of {len(expand(given, swept(config)))}; -m runs them all")
            say([*repeated(given), *_unused_folder(config, "hydra.sweep.dir", "hydra.run.dir"), *notes])
            if config.plan:  # Hydra makes a folder for everything that it runs
                self.nowhere = tempfile.TemporaryDirectory()
                config.hydra.run.dir = self.nowhere.name

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        if job_return.status is JobStatus.FAILED and not is_multirun():
            error = cast(Exception, job_return._return_value)
            if isinstance(error, ConfigError) and self.there is not None and processes.rank() == 0:
                forget(Path(config.hydra.runtime.output_dir), self.there)
            raise JobFailed(error)


def typed_overrides(settings: HydraConf) -> list[str]:
    """The overrides as they were typed, of Hydra's own settings: an interpolation in one is not resolved."""
    return cast(list[str], OmegaConf.to_container(cast(ListConfig, settings.overrides.task), resolve=False))


def folder_problems(key: str, folder: str) -> Iterator[str]:
    """Yield what keeps ``folder``, the value of ``key``, from being made."""
    there = next((path for path in (Path(folder), *Path(folder).parents) if path.exists()), Path())
    if not folder.strip():
        yield f"{key} is empty; leave it out, or pass {key}=<folder>"
    elif not there.is_dir():
        yield f"{key}={folder} cannot be a folder: {there} is a file; pass {key}=<folder>"
    elif not os.access(there, os.W_OK):
        yield f"{key}={folder} cannot be made: {there} may not be written to; pass {key}=<folder>"
    for link in filter(Path.is_symlink, (Path(folder) / name for name in WRITTEN)):
        yield f"{link} must be a file, got a link to {link.readlink()}, where the log would land. Remove it."


def _unused_folder(config: DictConfig, unused: str, used: str) -> Iterator[str]:
    """A note where the folder of a sweep is given to a run, or the other way round; a plan is given both."""
    given = {override.partition("=")[0] for override in config.hydra.overrides.hydra}
    if unused in given and used not in given:
        yield f"{unused} has no effect here; the folder is {used}=<folder>"


def check(raw: DictConfig, *, trains: bool = True) -> tuple[list[str], list[str]]:
    """Problems and notes of one composed configuration; trains: whether images to train on must be there."""
    try:
        config = typed(raw)
    except (ConfigError, OmegaConfBaseException) as error:
        return [explain(error)], []
    return rules.problems(config, trains=trains), notes_of(config)


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

    Raises:
        ConfigError: for a range that is none, and for more jobs than can be checked.
    """
    own = [f"{key}={value}" for key, value in (params or {}).items()]
    axes: dict[str, list[str]] = {}
    for override in _parsed([*own, *overrides]):
        key = override.get_key_element()
        if override.is_sweep_override() and override.is_discrete_sweep():
            try:
                values = list(itertools.islice(override.sweep_string_iterator(), MOST_JOBS + 1))
            except ValueError as error:  # range(0,2,0)
                raise ConfigError(f"{override.input_line}: {error}; pass {key}=<a>,<b>") from None
            axes[key] = [f"{key}={value}" for value in values]
        elif not override.is_sweep_override():  # a continuous interval is chosen by an optimising sweeper later
            assert override.input_line is not None
            axes[key] = [override.input_line]
    if math.prod(map(len, axes.values())) > MOST_JOBS:
        raise ConfigError(f"{' '.join(overrides)} are more than {MOST_JOBS:,} jobs; pass fewer values")
    return [list(job) for job in itertools.product(*axes.values())]


def _parsed(overrides: list[str]) -> list[Override]:
    loader = GlobalHydra.instance().config_loader() if GlobalHydra.instance().is_initialized() else None
    return OverridesParser.create(loader).parse_overrides(overrides)


def undecided(overrides: list[str]) -> Iterator[str]:
    """Yield what of a grid's jobs cannot be known before it starts: they are numbered, and run as they were checked."""
    for override in _parsed(overrides):
        value = override.value()
        if isinstance(value, IntervalSweep):
            yield f"{override.input_line} is for a sweeper that chooses values; pass {override.key_or_group}=<a>,<b>"
        elif isinstance(value, Sweep) and getattr(value, "shuffle", False):
            yield f"{override.input_line} has another order each time; pass the values in the order that you want"


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
    given = typed_overrides(config.hydra)
    grid = Grid(expand(given, swept(config)))
    if not grid.jobs:
        grid.problems.append(f"there is no job in {' '.join(given)}: a range or a glob is empty; pass model=<a>,<b>")
    grid.problems += folder_problems("hydra.sweep.dir", config.hydra.sweep.dir)
    origins = cells.origins(grid.jobs)
    notes: Counter[str] = Counter()
    faults: dict[str, list[int]] = {}
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
            problems, job_notes = of_job(overrides, error), []
        notes.update(job_notes)
        for text in problems:
            faults.setdefault(text, []).append(number)
    if faults:
        num_invalid = len({number for numbers in faults.values() for number in numbers})
        grid.problems.append(f"{num_invalid} of {len(grid.jobs)} jobs are invalid; nothing was started:")
        grid.problems += [line for text, numbers in faults.items() for line in (f"- {text}", _jobs(grid.jobs, numbers))]
    grid.notes = list(_unused_folder(config, "hydra.run.dir", "hydra.sweep.dir"))
    grid.notes += [f"{note} ({count} of {len(grid.jobs)} jobs)" for note, count in notes.items()]
    return grid


def _jobs(jobs: list[list[str]], numbers: list[int]) -> str:
    """A line that names the jobs that a fault is in, with what only the first of them has."""
    if len(numbers) == len(jobs) > 1:
        return f"  in all {len(jobs)} jobs"
    varied = ledger.varied(jobs)
    named = [f"#{number} {varied[number]}".rstrip() for number in numbers[:1]] + [
        f"#{n}" for n in numbers[1:MOST_NAMED]
    ]
    left_out = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return f"  in {', '.join(named)}{left_out}"


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
    if (kept := ledger.kept_text(frozen)) is None:
        raise ConfigError(
            f"{frozen} is damaged, so this job is not known to be what was checked; start the sweep again with"
            f" hydra.sweep.dir={frozen.parents[1]}, which keeps the job's configuration anew"
        )
    if found := ledger.difference(kept, as_yaml(raw)):
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
    """Hydra logs a callback's exception and goes on unchecked; a mistake, or a fault of ours, must end the program."""
    try:
        yield
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        refuse(explain(error))
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def is_multirun() -> bool:
    """Whether the running job is one of a sweep."""
    return HydraConfig.initialized() and str(HydraConfig.get().mode).endswith("MULTIRUN")
