"""A sweep from its check to the table at its end; Hydra calls what is here. Imports no torch."""

import atexit
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO, cast

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from deit.config import cells, ledger, preflight
from deit.config.compose import typed
from deit.config.errors import ConfigError, RunError
from deit.config.ledger import State
from deit.config.preflight import Grid, refuse
from deit.config.schema import Config
from deit.launch import side_by_side
from deit.launch.results import Results

log = logging.getLogger(__name__)

_OF_THE_SWEEP = ("hydra.mode=", "hydra.sweep.", "hydra.run.")  # what a job in its own process has its own of
_held: list[TextIO] = []  # the lock of this process's sweep, for as long as it lives


class Sweep(Callback):
    """Hydra callback: checks all jobs, opens the ledger, lets no failed job stop the others, says how all ended."""

    def __init__(self) -> None:
        self.results: Results | None = None  # none where another sweeper chooses jobs as it goes

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        with preflight.own_errors_end_the_program():
            is_job = preflight.frozen_run(Path(config.hydra.run.dir)).is_file()
            if config.resources.jobs != 1 and not is_job:
                preflight.say(
                    [f"resources={config.resources.name}: a single run has nothing beside it; -m makes a sweep"]
                )

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        with preflight.own_errors_end_the_program():
            grid = preflight.check_sweep(config)
            if problems := grid.problems or list(_problems(config, grid)):
                refuse("\n".join(problems))
            preflight.say([*preflight.repeated(list(config.hydra.overrides.task)), *grid.notes])
            if not _is_grid(config):
                return
            try:
                self._start(config, grid)
            except ConfigError as error:
                refuse(str(error))

    def _start(self, config: DictConfig, grid: Grid) -> None:
        sweep = Path(config.hydra.sweep.dir)
        configs = [typed(job) for job in grid.composed]
        texts = [preflight.as_yaml(job) for job in grid.composed]
        if config.plan:
            ledger.refuse_another_grid(sweep, texts)
            from deit.training.sweep_plan import show  # torch is imported only once work really starts

            show(sweep, grid.jobs, configs)
            raise SystemExit(0)
        _held.append(ledger.hold(sweep))
        added = ledger.refuse_another_grid(sweep, texts)
        ledger.freeze(sweep, texts)
        cells.keep(sweep / ledger.FROZEN, grid.starts)
        states = [ledger.state(sweep / str(number), resume=job.resume) for number, job in enumerate(configs)]
        said = f"{sweep}: {ledger.counted(states)}{f'; {added} of them new in this sweep' if added else ''}"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
        self.results = Results(sweep, grid.jobs)
        atexit.register(self.results.show)  # an interrupted sweep says what is left
        if configs[0].resources.jobs != 1:
            self._run_side_by_side(config, configs[0], states, grid.starts)

    def _run_side_by_side(
        self, config: DictConfig, first: Config, states: list[State], starts: Mapping[int, int]
    ) -> None:
        assert self.results is not None
        waiting = [number for number, state in enumerate(states) if state is not State.done]
        at_once = first.resources.jobs or side_by_side.num_cores()
        settings = [one for one in config.hydra.overrides.hydra if not one.startswith(_OF_THE_SWEEP)]
        side_by_side.run_all(self.results, waiting, at_once=at_once, settings=settings, starts=starts)
        raise SystemExit(self.results.show())

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        with preflight.own_errors_end_the_program():
            if not preflight.is_multirun():
                return
            number = int(config.hydra.job.num)
            error = cast(Exception, job_return._return_value) if job_return.status is JobStatus.FAILED else None
            if error is not None:
                _log(number, error)
            if self.results is None:
                return
            self.results.ended.add(number)
            if error is not None:
                self.results.errors[number] = _told(error)
                # Hydra would raise it once all jobs have run; the table says more.
                job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        with preflight.own_errors_end_the_program():
            if self.results is not None and (status := self.results.show()):
                raise SystemExit(status)


def _is_grid(config: DictConfig) -> bool:
    return "BasicSweeper" in config.hydra.sweeper._target_


def _problems(config: DictConfig, grid: Grid) -> Iterator[str]:
    """What hinders a sweep whose jobs are all right."""
    asked = {(job.resources.name, job.resources.jobs) for job in grid.composed}
    if len(asked) > 1:
        yield "resources cannot vary within a sweep: it has one place to run; pass resources=local or local_parallel"
    elif any(jobs != 1 for _, jobs in asked) and not (_is_grid(config) and config.hydra.job.name == "train"):
        yield (
            "jobs side by side are for grids of src/train.py; possible here: one after another;"
            " pass resources=local resources.jobs=1"
        )


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, (ConfigError, RunError)) else f"{type(error).__name__}: {error}"


def _log(number: int, error: Exception) -> None:
    """Into the job's train.log and onto the terminal: the other jobs go on, and the table has only its first lines."""
    trace = None
    if not isinstance(error, (ConfigError, RunError)) and error.__traceback__ is not None:
        trace = (type(error), error, error.__traceback__.tb_next)  # the first frame is Hydra's
    log.error(f"#{number} failed: {_told(error)}", exc_info=trace)
