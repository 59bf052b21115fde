"""Jobs of a sweep handed to submitit: into SLURM's queue, or as processes of this machine started the same way.

The settings are those of Hydra's submitit launcher (``hydra.launcher``). The launcher itself would submit jobs that are
done, let none wait for another, and give up at the first one that is lost.
"""

import getpass
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import hydra
import submitit
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from omegaconf import DictConfig, OmegaConf
from submitit.core.utils import FailedJobError
from submitit.local.local import LocalJob
from submitit.slurm.slurm import SlurmJob

import deit
from deit.config import ledger, sealed
from deit.config.arguments import in_grammar
from deit.config.errors import ConfigError
from deit.config.resources import Resources
from deit.launch.job import Job
from deit.launch.queue import LOG, PATIENCE, last_line, say
from deit.launch.results import Results

log = logging.getLogger(__name__)

SUBMITTED = "slurm.json"  # in the ledger's folder: the number in SLURM's queue of each job
ASK_EVERY = 10.0  # seconds; squeue costs the controller more than a look at a file
OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
SAID_BY_ALL = ("srun: ", "slurmstepd: ")  # lines that say that a process ended, not why


class OnThisMachine:
    """A place for jobs: processes of this machine that submitit starts as it would start SLURM's."""

    pause = 0.2
    beginning = "starts"

    def __init__(self, results: Results, settings: Sequence[str], resources: Resources, launcher: DictConfig) -> None:
        self.results, self.settings = results, settings
        self.executor = _executor(launcher, resources)
        self.num_tasks = resources.nodes * resources.tasks_per_node
        self.running: dict[int, submitit.Job[None]] = {}
        source = str(Path(cast(str, deit.__file__)).parents[1])
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))

    def start(self, numbers: Sequence[int]) -> Mapping[int, str]:
        try:
            with self.executor.batch():
                jobs = {number: self.executor.submit(self._job(number)) for number in numbers}
        except FailedJobError as error:
            raise ConfigError(f"the jobs were not taken: {error}".strip()) from None
        self.running.update(jobs)
        return {number: f"{self.results.folder(number) / LOG}" for number in numbers}

    def _job(self, number: int) -> Job:
        folder = self.results.folder(number).absolute()
        given = [*self.settings, *self.results.jobs[number], f"hydra.run.dir={in_grammar(folder)}"]
        return Job(str(Path(sys.argv[0]).absolute()), given)

    def ended(self) -> Mapping[int, str]:
        over = self._over()
        return {number: self._why(number, self.running.pop(number), state) for number, state in over.items()}

    def _over(self) -> dict[int, str]:
        return {number: "" for number, job in self.running.items() if job.done()}

    def _why(self, number: int, job: submitit.Job[None], state: str) -> str:
        """What is known of a job that left no end of its own in run.json."""
        if ledger.record(self.results.folder(number)).get("status") in ("done", "failed", "preempted"):
            return ""
        said = self._said_last(job)
        return ": ".join(filter(None, (state, said))) or f"nothing is known; its folder is {job.paths.folder}"

    def _said_last(self, job: submitit.Job[None]) -> str:
        """Return the last line on stderr of the first process that has one."""
        files = (job.task(task).paths.stderr for task in range(self.num_tasks))
        return next(filter(None, (last_line(file, but=SAID_BY_ALL) for file in files)), "")

    def waits_for(self, number: int) -> str:
        return self._said_last(self.running[number]) or last_line(self.results.folder(number) / LOG)

    def leave(self) -> None:
        """End the jobs that are at work; they write down how far they came."""
        processes = [cast(LocalJob, job)._process for job in self.running.values()]
        deadline = time.monotonic() + PATIENCE
        for process in filter(None, processes):
            process.send_signal(signal.SIGTERM)  # submitit hands it on
        for process in filter(None, processes):
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(self.pause)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # what it is that submitit ends its processes at
                process.wait()


class InQueue(OnThisMachine):
    """A place for jobs: SLURM's queue. They stay there when this process ends; the next one finds them again."""

    pause = 1.0
    beginning = "is in SLURM's queue"

    def __init__(self, results: Results, settings: Sequence[str], resources: Resources, launcher: DictConfig) -> None:
        super().__init__(results, settings, resources, launcher)
        self.folder = self.executor.folder
        self.record = results.sweep / ledger.FROZEN / SUBMITTED
        self.states = self._ask() or {}
        self.ids = self._submitted()
        self.asked = time.monotonic()
        self.missed: set[int] = set()

    def _submitted(self) -> dict[str, str]:
        """Return the number in SLURM's queue of each job that an earlier process has submitted.

        Raises:
            ConfigError: If that is lost while such jobs are in the queue: they would be submitted twice.
        """
        waiting = [job for job, state in self.states.items() if state not in OVER]
        try:
            known = sealed.parse_record(self.record.read_text(encoding="utf-8"), self.record)
        except FileNotFoundError:
            known = {}
        except (ValueError, RecursionError):
            known = None
        if known or not waiting:
            if known is None:
                log.warning(f"{self.record} is damaged; none of its jobs is in the queue, and it is written anew")
            return {number: str(job) for number, job in (known or {}).items()}
        raise ConfigError(
            f"{self.record} is missing or damaged, and jobs of this sweep are in SLURM's queue: {' '.join(waiting)};"
            f" type scancel {' '.join(waiting)}, delete that file, and start the sweep again: its jobs resume"
        )

    def waits_for(self, number: int) -> str:
        state = self.states.get(self.running[number].job_id, "")
        return f"{state} in SLURM's queue" if state == "PENDING" else super().waits_for(number)

    def start(self, numbers: Sequence[int]) -> Mapping[int, str]:
        found = [n for n in numbers if self.states.get(self.ids.get(str(n), ""), "COMPLETED") not in OVER]
        tasks = range(self.num_tasks)
        self.running.update({n: SlurmJob(self.folder, self.ids[str(n)], tasks) for n in found})
        if new := [number for number in numbers if number not in found]:
            super().start(new)
            self.ids.update({str(number): self.running[number].job_id for number in new})
            sealed.write_atomically(self.record, sealed.record_text(self.ids))
        return {n: f"{self.running[n].job_id}, {self.results.folder(n) / LOG}" for n in numbers}

    def _over(self) -> dict[int, str]:
        over = {number: "" for number, job in self.running.items() if job.paths.result_pickle.exists()}
        if time.monotonic() - self.asked < ASK_EVERY or (states := self._ask()) is None:
            return over
        self.asked, self.states = time.monotonic(), states
        gone = {n for n, job in self.running.items() if states.get(job.job_id, "COMPLETED") in OVER}
        # Twice, for a job that is put into the queue again ends before it is there.
        over |= {n: states.get(self.running[n].job_id, "") for n in gone & self.missed}
        self.missed = gone
        return over

    def _ask(self) -> dict[str, str] | None:
        """What SLURM says of each job of this sweep that it still knows; None if it does not answer."""
        options = ("--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i %T %o")
        asked = subprocess.run(["squeue", *options], capture_output=True, text=True, check=False)
        if asked.returncode:
            return None
        lines = [line.split(maxsplit=2) for line in asked.stdout.splitlines()]
        own = str(self.folder.parent)  # scripts lie there; another cluster's jobs may have the same numbers
        return {job: state for job, state, *script in lines if "".join(script).startswith(own)}

    def leave(self) -> None:
        if self.running:
            self.results.queued.update(self.running)
            ids = " ".join(job.job_id for job in self.running.values())
            say(f"jobs stay in SLURM's queue; to end them: scancel {ids}")


def launcher_of(config: DictConfig, job: Sequence[str]) -> DictConfig:
    """``hydra.launcher`` as it is with the overrides of a job, which all jobs of the sweep share."""
    given = [*job, *config.hydra.overrides.hydra, f"hydra.sweep.dir={in_grammar(Path(config.hydra.sweep.dir))}"]
    composed = hydra.compose(config.hydra.job.config_name, overrides=given, return_hydra_config=True)
    return composed.hydra.launcher


def _executor(launcher: DictConfig, resources: Resources) -> submitit.AutoExecutor:
    """submitit's executor with what ``launcher`` says; a setting of one cluster alone has its name before it."""
    values = cast(dict[str, object], OmegaConf.to_container(launcher, resolve=True))
    cluster = resources.launcher.removeprefix("submitit_")
    folder = cast(str, values.pop("submitit_folder"))
    timeouts = values.pop("max_num_timeout", resources.max_timeouts)  # that of this machine has no such key
    made = submitit.AutoExecutor(folder, cluster, **{f"{cluster}_max_num_timeout": timeouts})
    shared = OmegaConf.structured(BaseQueueConf)
    del values["_target_"]
    made.update_parameters(**{key if key in shared else f"{cluster}_{key}": value for key, value in values.items()})
    if cluster == "slurm":
        made.update_parameters(slurm_srun_args=["--kill-on-bad-exit=1"])  # else the others wait for a process that fell
    return made
