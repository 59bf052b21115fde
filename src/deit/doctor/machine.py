"""The machine below the packages, as far as the configuration leans on it: disk, memory, cores, files, programs."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deit.config.resources import SUBMITIT_SLURM
from deit.config.schema import Config
from deit.doctor.verdicts import Verdict, not_checked, ok, problem, warning

LOGS = Path("logs")
SHARED = Path("/dev/shm")
ROOM = 10e9  # bytes: DeiT-B with AdamW's moments takes 1 GB a checkpoint, of which there are up to four at a time
PREFETCHED = 4  # batches a worker has ready
FILES_A_WORKER = 64  # a batch in flight is five tensors, each an open file; pipes and the images themselves besides
FILES_OF_A_RUN = 256  # libraries, logs, the maps of a bank


def verdicts(config: Config) -> Iterator[Verdict]:
    """Look at each."""
    yield disk(LOGS)
    yield shared_memory(config)
    yield cores(config)
    yield files(config)
    yield from programs(config)


def disk(folder: Path) -> Verdict:
    """Whether runs can be written, and how many will fit."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        return problem("disk", f"{there} cannot be written to ({error.strerror})", "start in a folder of your own")
    if free < ROOM:
        return warning("disk", f"{free / 1e9:.1f} GB free for {folder}/", "make room, or link logs to a larger disk")
    return ok("disk", f"{free / 1e9:,.0f} GB free for {folder}/, which can be written to")


def shared_memory(config: Config) -> Verdict:
    """Whether what loader processes hand over fits where it is handed over."""
    workers = config.data.workers * config.trainer.devices
    if not workers:
        return ok("shared memory", "none is needed: data.workers=0")
    if not SHARED.is_dir():
        return not_checked("shared memory", f"this system has no {SHARED}")
    batch = config.optim.batch_size // config.trainer.world_size // config.trainer.accumulate
    needed = workers * PREFETCHED * batch * 3 * config.image_size**2
    free = shutil.disk_usage(SHARED).free
    said = f"loaders have up to {needed / 1e9:.2f} GB ready, {SHARED} has {free / 1e9:,.1f} GB free"
    if needed > free:
        return problem("shared memory", said, "docker run --shm-size=<more>, or pass a smaller data.workers")
    return ok("shared memory", said)


def num_cores() -> float:
    """Cores that this process may use: those it may run on, or the share of them that its container has."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    share, _, period = limit.read_text().partition(" ") if limit.is_file() else ("max", "", "")
    return own if share == "max" else min(own, int(share) / int(period))


def cores(config: Config) -> Verdict:
    """Whether every process has a core."""
    found, devices = num_cores(), config.trainer.devices
    wanted = devices * (1 + config.data.workers)
    said = f"{found:g}; wanted are {devices} to train and {wanted - devices} to load (data.workers)"
    if wanted > found and config.data.workers:
        less = max(0, int(found // devices) - 1)
        return warning("cores", said, f"pass data.workers={less}, or what=speed to see whether it matters")
    return ok("cores", said)


def files(config: Config) -> Verdict:
    """Whether a process may open as many files as loaders hand over."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_OF_A_RUN + FILES_A_WORKER * config.data.workers
    if soft != resource.RLIM_INFINITY and soft < needed:
        more = f"ulimit -n {needed}" if hard == resource.RLIM_INFINITY or hard >= needed else "ask for a higher limit"
        return problem("open files", f"a process may have {soft:,}, {needed:,} may be needed", more)
    return ok("open files", f"a process may have {'any number' if soft == resource.RLIM_INFINITY else f'{soft:,}'}")


def programs(config: Config) -> Iterator[Verdict]:
    """Programs that are called by name."""
    if shutil.which("git") is None:
        yield warning("git", "not found: runs will not say which code they ran", "apt-get install git")
    else:
        yield ok("git", "found: runs say which code they ran")
    if config.trainer.compile and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++", "gcc"))):
        yield problem("compiler", "trainer.compile=true needs one", "apt-get install g++, or trainer.compile=false")
    if config.resources.launcher == SUBMITIT_SLURM:
        if shutil.which("sbatch") is None:
            yield problem("SLURM", f"resources={config.resources.name}, but there is no sbatch", "resources=local")
        else:
            yield ok("SLURM", "sbatch is found")
