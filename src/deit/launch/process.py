"""Isolation of a job: what it changes in its process is undone before the next job starts. Imports no torch."""

import gc
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from deit.config import processes
from deit.config.arguments import config_flags
from deit.config.preflight import frozen_run, is_multirun, typed_overrides
from deit.training.preemption import Preempted


@contextmanager
def isolated_job(*, threads: int | None) -> Iterator[None]:
    """Limit the CPU threads of a job, let Lightning start its further processes, and leave no trace of them.

    threads: ``trainer.threads``. The environment has them before torch is imported, and Lightning, which would set the
    cores of the machine divided by the processes of one job, respects it.

    Lightning's DDP starts ranks by running ``sys.argv`` again. In a sweep that would be the whole sweep,
    so for the time of the job the command line is this job's own, into this job's folder. The ranks,
    ports and process group that Lightning leaves in the environment would make the next job wait for
    processes that nobody starts, so they go when the job ends.
    """
    argv, environment = list(sys.argv), dict(os.environ)
    gc.collect()  # networks, data workers and files of the job before, which Lightning's parts hold in circles
    processes.limit_threads(threads)
    try:
        if is_multirun():
            _describe_as_single_run()
        yield
    except (KeyboardInterrupt, Preempted):
        _print_how_to_resume()
        raise
    finally:
        _close_process_group()
        sys.argv[:] = argv
        os.environ.clear()
        os.environ.update(environment)


def _print_how_to_resume() -> None:
    """Print the command that resumes an interrupted run; a sweep prints its own."""
    folder = HydraConfig.get().run.dir
    if processes.rank() or is_multirun() or frozen_run(Path(folder)).is_file():
        return
    typed = [argument for argument in sys.orig_argv if argument != "resume=never"]
    if not any(argument.startswith("hydra.run.dir=") for argument in typed):
        typed.append(f"hydra.run.dir={folder}")
    command = "the same command" if processes.started()[0] else shlex.join(typed)
    sys.stderr.write(f"interrupted; resume with: {command}\n")


def _close_process_group() -> None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _describe_as_single_run() -> None:
    settings = cast(DictConfig, HydraConfig.get())
    overrides = typed_overrides(HydraConfig.get())
    sys.argv[:] = [sys.argv[0], *config_flags(sys.argv[1:]), *overrides, "hydra.mode=RUN"]
    with read_write(settings), open_dict(settings):
        settings.run.dir = settings.runtime.output_dir  # Lightning hands this on to the ranks
