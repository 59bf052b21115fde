"""Where the jobs of a sweep run: group `resources`, which Hydra's launcher reads what it hands to SLURM from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import II, MISSING

from deit.config.values import MOST, not_positive, outside

HERE, SUBMITIT_LOCAL, SUBMITIT_SLURM = LAUNCHERS = ("basic", "submitit_local", "submitit_slurm")
OF_SUBMITIT = ("nodes", "tasks_per_node", "hours", "max_timeouts")
OF_SLURM = ("memory_gb", "partition", "account", "signal_before_s")


def cpus_for(workers: int) -> int:
    """CPU cores of a process: one to train on, one for each process that loads images."""
    return max(0, workers) + 1


def gpus_for(accelerator: str, processes: int) -> int | None:
    """GPUs of a node: one a process, unless the CPU is asked for."""
    return None if accelerator == "cpu" else processes


def minutes(hours: float) -> int:
    """Time as sbatch takes it, rounded up."""
    return max(1, math.ceil(hours * 60))


@dataclass(kw_only=True)
class Resources:
    """Where the jobs of a sweep run, how many at once, and what each of them gets there."""

    name: str = MISSING
    launcher: str = HERE
    """Hydra's name of what starts the jobs: basic (this machine), submitit_local (the same as SLURM's processes would
    be started), submitit_slurm. The group sets it together with hydra/launcher."""
    jobs: int | None = 1
    """Jobs at once, each in a process of its own; null: one a CPU core, in SLURM's queue as many as there are.
    1 on this machine: one after another in one process."""
    nodes: int = 1
    """Nodes of a job."""
    tasks_per_node: int = 1
    """Processes on each node, with a GPU each unless trainer.accelerator=cpu."""
    cpus_per_task: int = II("cpus_for:${data.workers}")
    memory_gb: int | None = None
    """Memory of each node; null: what the partition gives."""
    hours: float = 24
    """Time limit of a job, after which it is cut off and goes on in a new one."""
    partition: str | None = None
    account: str | None = None
    signal_before_s: int = 120
    """How long before the limit a job is told; until then a step must end and a checkpoint be written."""
    max_timeouts: int = 10
    """How often a job may reach its limit and be put into the queue again: ten days of work at 24 hours."""

    @property
    def submits(self) -> bool:
        """Whether jobs are handed to submitit."""
        return self.launcher != HERE

    @property
    def own_processes(self) -> bool:
        """Whether each job has processes of its own."""
        return self.submits or self.jobs != 1

    def problems(self) -> Iterator[str]:
        if self.jobs is not None:
            yield from not_positive(resources__jobs=self.jobs)
        yield from not_positive(
            resources__nodes=self.nodes,
            resources__tasks_per_node=self.tasks_per_node,
            resources__cpus_per_task=self.cpus_per_task,
            resources__hours=self.hours,
            resources__signal_before_s=self.signal_before_s,
        )
        if self.memory_gb is not None:
            yield from not_positive(resources__memory_gb=self.memory_gb)
        yield from outside("resources.max_timeouts", self.max_timeouts, 0, MOST)
        if 0 < self.hours * 3600 <= self.signal_before_s:
            yield (
                f"resources.signal_before_s={self.signal_before_s} is not less than resources.hours={self.hours:g}"
                f" have; pass resources.signal_before_s={max(1, int(self.hours * 1800))}"
            )
        if self.launcher == SUBMITIT_LOCAL and self.nodes > 1:
            yield f"resources={self.name} is one machine, resources.nodes={self.nodes}; pass resources.nodes=1"
