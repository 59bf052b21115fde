"""Processes of one run: their ranks, their CPU threads, and what torchrun or SLURM's srun started."""

import os
from collections.abc import Iterator
from typing import cast

from omegaconf import DictConfig

RANKS = (
    "RANK",
    "SLURM_PROCID",
    "LOCAL_RANK",
)  # torchrun and submitit say the first, srun the second, Lightning the last

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables from which PyTorch, its libraries and Lightning read the number of CPU threads."""


def limit_threads(threads: int | None) -> None:
    """Set the CPU threads of this process and of those that it starts; call it before torch is imported.

    threads: ``trainer.threads``; None leaves the environment as it is.
    """
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))


def rank() -> int:
    """0 in the process of a run that writes and speaks for all, or where it is the only one; above 0 in the others."""
    return max(int(os.environ.get(name, 0)) for name in RANKS)  # a batch script has a number of its own, always 0


def attempt() -> dict[str, object]:
    """Return the job of SLURM or torchrun that this process belongs to, and the times that it was started again.

    The job is empty where a person has started the process. A person may type several commands within one job, which
    then have the same number of restarts.
    """
    environment = os.environ
    job = environment.get("SLURM_JOB_ID") or environment.get("TORCHELASTIC_RUN_ID", "")
    counts = (environment.get(name, "0") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))
    return {"job": job, "restarts": [int(count) if count.isdecimal() else 0 for count in counts]}


def is_restart_of(earlier: object) -> bool:
    """Return True if the scheduler has started this job again since ``earlier``, which is what `attempt` returned."""
    now = attempt()
    if not now["job"] or not isinstance(earlier, dict) or earlier.get("job") != now["job"]:
        return False
    if earlier.get("restarts") == now["restarts"] and rank():
        return earlier.get("resumes") is True  # the first process has recorded this attempt already
    try:
        return tuple(earlier["restarts"]) < tuple(cast(list[int], now["restarts"]))
    except (KeyError, TypeError):
        return False


def started() -> tuple[str, int]:
    """What started several processes of one command, and how many; an empty word and 1 where nothing did."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun", int(os.environ["WORLD_SIZE"])
    if (count := int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))) > 1:
        return "srun", count
    return "", 1


def problems(config: DictConfig) -> Iterator[str]:
    """What keeps processes that were started together from being one run."""
    starter, count = started()
    if not starter:
        return
    settings = config.trainer
    if count != settings.devices * settings.num_nodes:
        yield (
            f"{starter} started {count} processes, but trainer.devices={settings.devices} on"
            f" trainer.num_nodes={settings.num_nodes} make {settings.devices * settings.num_nodes}; pass trainer=ddp"
            f" trainer.devices={count // settings.num_nodes}"
        )
    if not any(override.startswith("hydra.run.dir=") for override in config.hydra.overrides.hydra):
        yield (
            f"the {count} processes that {starter} started must agree on a folder, and the usual one is named after"
            " the second; pass hydra.run.dir=logs/runs/<name>"
        )


def sweep_problems() -> Iterator[str]:
    """What keeps processes that were started together from starting a sweep."""
    starter, count = started()
    if starter:
        yield (
            f"each of the {count} processes that {starter} started would start the whole sweep; leave out {starter},"
            " and pass resources=slurm_1x8 or trainer=ddp"
        )
