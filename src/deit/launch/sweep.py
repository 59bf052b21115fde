"""A sweep from its check to the table at its end; Hydra calls what is here. Imports no torch."""

import atexit
import logging
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO, cast

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from deit.config import cells, ledger, new_folders, preflight, processes
from deit.config.arguments import config_flags, in_grammar
from deit.config.compose import typed
from deit.config.errors import ConfigError, RunError
from deit.config.ledger import State
from deit.config.preflight import Grid, refuse
from deit.config.resources import HERE, SUBMITIT_SLURM, Resources
from deit.config.schema import Config
from deit.launch import own_data
from deit.launch.queue import Place, run_all, say
from deit.launch.results import Results
from deit.launch.side_by_side import SideBySide, num_cores
from deit.training.preemption import watched

log = logging.getLogger(__name__)

_OF_THE_SWEEP = ("hydra.mode=", "hydra.sweep.", "hydra.run.")  # what a job in its own process has its own of
_held: list[TextIO] = []  # the lock of this process's sweep, for as long as it lives


class Sweep(Callback):
    """Hydra callback: checks all jobs, opens the ledger, lets no failed job stop the others, says how all ended."""

    def __init__(self) -> None:
        self.results: Results | None = None  # none where another sweeper chooses jobs as it goes

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        with preflight.own_errors_end_the_program():
            if preflight.frozen_run(Path(config.hydra.run.dir)).is_file() or config.hydra.job.name != "train":
                return
            name = f"resources={config.resources.name}"
            if config.resources.launcher != HERE and not config.plan:
                refuse(f"{name} submits the jobs of a sweep, this is a single run; pass -m, or resources=local")
            if config.resources.jobs != 1:
                preflight.say([f"{name}: a single run has nothing beside it; -m makes a sweep"])
            _refuse_missing_devices([typed(config)])
            if (folder := new_folders.claim_for(config, "run")) is not None:
                say(f"run folder: {folder}")

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        with preflight.own_errors_end_the_program():
            grid = preflight.check_sweep(config)
            if problems := list(processes.sweep_problems()) or grid.problems or list(_problems(config, grid)):
                refuse("\n".join(problems))
            _refuse_missing_devices([typed(job) for job in grid.composed])
            preflight.say([*preflight.repeated(preflight.typed_overrides(config.hydra)), *grid.notes])
            if _is_grid(config):
                self._start(config, grid)
            else:
                fix_folder(config)

    def _start(self, config: DictConfig, grid: Grid) -> None:
        sweep = Path(config.hydra.sweep.dir)
        texts = [preflight.as_yaml(job) for job in grid.composed]
        owns = own_data.settle_sweep(grid, sweep)
        if grid.problems:
            refuse("\n".join(grid.problems))
        configs = [typed(job) for job in grid.composed]
        if config.plan:
            ledger.refuse_another_grid(sweep, texts, grid.jobs)
            from deit.training.sweep_plan import show  # torch is imported only once work really starts

            show(sweep, grid.jobs, configs)
            raise SystemExit(0)
        sweep = fix_folder(config)
        _held.append(ledger.hold(sweep))
        added = ledger.refuse_another_grid(sweep, texts, grid.jobs)
        preflight.say(ledger.lost(sweep))
        ledger.freeze(sweep, texts)
        cells.keep(sweep / ledger.FROZEN, grid.starts)
        own_data.keep(sweep, owns)
        states = [ledger.state(sweep / str(number), resume=job.resume) for number, job in enumerate(configs)]
        said = f"{sweep}: {ledger.counted(states)}{f'; {added} of them new in this sweep' if added else ''}"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
        self.results = Results(sweep, grid.jobs)
        atexit.register(self.results.show)  # an interrupted sweep says what is left
        if configs[0].resources.own_processes:
            waiting = [number for number, state in enumerate(states) if state is not State.done]
            place, at_once = _place(config, self.results, configs[0].resources)
            with watched():  # however this process is told to end, its jobs first write down how far they came
                run_all(self.results, waiting, place, at_once=at_once, starts=grid.starts)
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


def _refuse_missing_devices(configs: Sequence[Config]) -> None:
    """Refuse jobs of this machine on more GPUs than it has, before anything is written."""
    for config in {str((one.trainer, one.resources.launcher)): one for one in configs}.values():
        if config.trainer.accelerator == "cpu" or config.resources.launcher == SUBMITIT_SLURM or config.plan:
            continue
        from deit.training.trainer import refuse_missing_devices  # torch is imported only to look for GPUs

        refuse_missing_devices(config)


def fix_folder(config: DictConfig) -> Path:
    """Give every job of a sweep the folder of the sweep: its name may depend on settings that vary, and be taken."""
    folder = new_folders.claim_for(config, "sweep") or Path(config.hydra.sweep.dir)
    config.hydra.sweep.dir = str(folder)
    config.hydra.overrides.hydra.append(f"hydra.sweep.dir={in_grammar(folder)}")  # Hydra composes jobs from it
    return folder


def _place(config: DictConfig, results: Results, resources: Resources) -> tuple[Place, int | None]:
    """Where the jobs run, and how many at once."""
    own = [one for one in config.hydra.overrides.hydra if not one.startswith(_OF_THE_SWEEP)]
    # A file may set hydra.mode=MULTIRUN, under which each job would start the whole sweep again.
    settings = [*config_flags(sys.argv[1:]), *own, "hydra.mode=RUN"]
    if not resources.submits:
        return SideBySide(results, settings), resources.jobs or num_cores()
    from deit.launch import cluster  # submitit is imported only where it is used

    kind = cluster.InQueue if resources.launcher == SUBMITIT_SLURM else cluster.OnThisMachine
    launcher = cluster.launcher_of(config, results.jobs[0])
    return kind(results, settings, resources, launcher), resources.jobs


def _is_grid(config: DictConfig) -> bool:
    return "BasicSweeper" in config.hydra.sweeper._target_


def _problems(config: DictConfig, grid: Grid) -> Iterator[str]:
    """What hinders a sweep whose jobs are all right."""
    if _is_grid(config):
        yield from preflight.undecided(preflight.typed_overrides(config.hydra))
    if len({job.plan for job in grid.composed}) > 1:
        yield "plan cannot vary within a sweep, which is planned or done as a whole; pass plan=true or plan=false"
    asked = [typed(job).resources for job in grid.composed]
    first = asked[0]
    if any(other != first for other in asked):
        yield "resources cannot vary within a sweep: it has one place to run; pass one of them, such as resources=local"
    elif first.own_processes and not (_is_grid(config) and config.hydra.job.name == "train"):
        yield (
            f"resources={first.name} is for grids of src/train.py; possible here: one job after another; pass"
            " resources=local resources.jobs=1"
        )
    elif (chosen := config.hydra.runtime.choices["hydra/launcher"]) != first.launcher:
        yield (
            f"hydra/launcher={chosen} does not go with resources={first.name}; leave it out, and pass resources=local,"
            " local_parallel, submitit_local, slurm_1x1, slurm_1x8 or slurm_2x8"
        )
    elif first.launcher == SUBMITIT_SLURM and not config.plan and shutil.which("sbatch") is None:
        yield f"resources={first.name} needs SLURM's sbatch, which is not on this machine; pass resources=local"


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, (ConfigError, RunError)) else f"{type(error).__name__}: {error}"


def _log(number: int, error: Exception) -> None:
    """Into the job's train.log and onto the terminal: the other jobs go on, and the table has only its first lines."""
    trace = None
    if not isinstance(error, (ConfigError, RunError)) and error.__traceback__ is not None:
        trace = (type(error), error, error.__traceback__.tb_next)  # the first frame is Hydra's
    log.error(f"#{number} failed: {_told(error)}", exc_info=trace)
