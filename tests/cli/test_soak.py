"""Many runs in one process, as a sweep makes them, hold on to nothing."""

import time
from pathlib import Path

import pytest

import commands

RUNS = 24
SETTLED = 6  # runs after which caches of imports, fonts and kernels are full
TINY = (
    "distill=none", "data.train_fraction=0.05", "scale.depth=1", "optim.epochs=1", "optim.warmup_epochs=0",
    "data.workers=1",
)  # fmt: skip


def held(process: int) -> tuple[int, int]:
    """Open files of a process, and its memory in KiB."""
    status = Path(f"/proc/{process}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return len(list(Path(f"/proc/{process}/fd").iterdir())), int(resident.split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux says what a process holds")
def test_files_and_memory_stay_flat_over_a_sweep(tmp_path: Path) -> None:
    sweep, measured = tmp_path / "sweep", []
    seeds = "seed=" + ",".join(map(str, range(RUNS)))
    sweep_of = (*TINY, seeds, "-m", f"hydra.sweep.dir={sweep}")
    with (tmp_path / "said").open("w") as said:
        process = commands.start("train.py", *sweep_of, cwd=tmp_path, stdout=said, stderr=said)
        for number in range(RUNS):
            # At the begin of a run nothing of the one before it should be left.
            while not (sweep / f"{number}/run.json").is_file() and process.poll() is None:
                time.sleep(0.005)
            if process.poll() is None:
                measured.append(held(process.pid))
        assert process.wait(120) == 0, (tmp_path / "said").read_text()
    files, memory = zip(*measured[SETTLED:], strict=True)
    assert max(files) <= min(files) + 2, files
    assert memory[-1] - memory[0] < 30 * 1024, f"{memory} KiB"
