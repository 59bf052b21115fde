"""A sum over processes, as DDP makes one of its gradients in every step: what measures it, and the program it starts.

python -m deit.doctor.collective <backend> <rank> <processes> <file to meet at>
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import IO

import torch
from torch import distributed

from deit.config.errors import RunError

BYTES = {"gloo": 2**24, "nccl": 2**28}  # of what is summed: enough for the bandwidth to show
ROUNDS = 5
PATIENCE = 120.0  # seconds; importing torch takes some of them, and a connection that is not there the rest


def bandwidth(backend: str, processes: int) -> float:
    """Bytes a second over the slowest link, in a ring: what is summed, times 2 (n - 1) / n, over the time.

    Raises:
        RunError: with what a process said last, if the sum is wrong or takes too long.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        said = [opened.enter_context((Path(folder) / f"{rank}.log").open("w+")) for rank in range(processes)]
        meeting = str(Path(folder) / "meeting")
        started = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, backend, str(rank), str(processes), meeting],
                stdin=subprocess.DEVNULL,
                stdout=said[rank],
                stderr=subprocess.STDOUT,
            )
            for rank in range(processes)
        ]
        try:
            wait(started, said)
        finally:
            for process in started:
                process.kill()
                process.wait()
        said[0].seek(0)
        seconds = float(said[0].read().split()[-1])
    return BYTES[backend] * 2 * (processes - 1) / processes / seconds


def wait(started: Sequence[subprocess.Popen[bytes]], said: Sequence[IO[str]]) -> None:
    """Until all processes have ended well; raises RunError with what one ``said`` last that did not, or is late."""
    deadline = time.monotonic() + PATIENCE
    while any(process.poll() is None for process in started):
        late = time.monotonic() > deadline
        failed = [rank for rank, process in enumerate(started) if late or process.poll()]
        if failed:
            said[failed[0]].seek(0)
            last = (said[failed[0]].read().strip().splitlines() or ["nothing"])[-1]
            raise RunError(f"process {failed[0]} {'was too slow' if late else 'failed'}, it said last: {last}")
        time.sleep(0.05)


def main(backend: str, rank: int, processes: int, meeting: str) -> None:
    """Take part, check the sum, and in the first process write the seconds of one."""
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if backend == "nccl":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        backend,
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=PATIENCE),
    )
    values = torch.full((BYTES[backend] // 4,), rank + 1.0, device=device)
    distributed.all_reduce(values)
    if not bool((values == processes * (processes + 1) / 2).all()):
        raise SystemExit("the sum is wrong")
    began = time.perf_counter()
    for _ in range(ROUNDS):
        distributed.all_reduce(values)
    if backend == "nccl":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / ROUNDS
    if rank == 0:
        sys.stdout.write(f"{seconds}\n")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
