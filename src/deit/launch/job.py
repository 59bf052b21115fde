"""What submitit calls in each process of a job: the run, as one would type it."""

import os
import runpy
import signal
import sys
from dataclasses import dataclass

import submitit
from submitit.core.job_environment import JobEnvironment
from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from deit.config import processes
from deit.training.preemption import Preempted

ASKS_FOR_ANOTHER = signal.Signals[
    f"SIG{JobEnvironment.USR_SIG}"
]  # what submitit has SLURM send before it cuts a job off


@dataclass(frozen=True)
class Job:
    """A call of a script, the same each time the job comes out of the queue.

    A run answers signals itself, and ends with `Preempted` once its checkpoint is on disk. The signal that asks for
    another job is then handed on to submitit, whose answer it would have been: process zero puts the job into the queue
    again, or says that it ran out of time too often. After SIGTERM nothing is put there from here: SLURM sends it where
    it starts the job again by itself, or was told to end it.
    """

    script: str
    arguments: list[str]

    def __call__(self) -> None:
        if submitit.JobEnvironment().cluster == "local":  # Lightning knows SLURM's variables, but none of submitit's
            os.environ["MASTER_ADDR"] = "127.0.0.1"  # the name of this machine may not lead to it
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        sys.argv[:] = [self.script, *self.arguments]
        try:
            runpy.run_path(self.script, run_name="__main__")
        except Preempted as ended:
            if ended.number == ASKS_FOR_ANOTHER:
                signal.raise_signal(ASKS_FOR_ANOTHER)
            if processes.rank() > 0:
                raise SystemExit(0) from None  # any other status would end process zero at its work
            raise

    def checkpoint(self) -> DelayedSubmission:
        """What submitit puts into the queue: the same again, for the run's folder has the checkpoint."""
        return DelayedSubmission(self)
