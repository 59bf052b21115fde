"""Jobs of a sweep side by side on one machine, each in a process of its own: ``resources=local_parallel``."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deit.config import ledger
from deit.launch.results import Results

LOG = "train.log"
PATIENCE = 20.0  # seconds that an interrupted job has to write down how far it came
DIES_WITH_PARENT = 1  # Linux's PR_SET_PDEATHSIG


@dataclass
class _Started:
    process: subprocess.Popen[bytes]
    began: float


def num_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    results: Results, waiting: Sequence[int], *, at_once: int, settings: Sequence[str], starts: Mapping[int, int]
) -> None:
    """Run the jobs numbered ``waiting``, so many at once; one that fails does not stop the others.

    settings: overrides of Hydra's own that every job gets. starts: which job another one must wait for, because it
    starts from its weights. However this function ends, no process is left.
    """
    left = list(waiting)
    what = ledger.varied(results.jobs)
    running: dict[int, _Started] = {}
    try:
        while left or running:
            while len(running) < at_once:
                ready = [number for number in left if starts.get(number) not in (*left, *running)]
                if not ready:
                    break
                number = ready[0]
                left.remove(number)
                running[number] = _start(results, number, settings)
                _say(f"#{number} starts: {what[number]} ({results.folder(number) / LOG})")
            time.sleep(0.05)
            for number in [n for n, started in running.items() if started.process.poll() is not None]:
                _ended(results, number, running.pop(number))
    finally:
        _stop([started.process for started in running.values()])


def _start(results: Results, number: int, settings: Sequence[str]) -> _Started:
    folder = results.folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")  # as Hydra's grammar wants it
    command = [sys.executable, sys.argv[0], *results.jobs[number], *settings, f"hydra.run.dir='{quoted}'"]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # Hydra writes the same into train.log
            stderr=log,
            start_new_session=True,  # so that Ctrl-C comes to it once, from here
            preexec_fn=_dying_with_parent(),
        )
    return _Started(process, time.monotonic())


def _dying_with_parent() -> Callable[[], object] | None:
    """What a job does before it starts, so that it ends even where this process is killed; only Linux knows how."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(DIES_WITH_PARENT, signal.SIGKILL)  # Lightning's answer to SIGTERM may wait for data workers


def _ended(results: Results, number: int, started: _Started) -> None:
    results.ended.add(number)
    folder, status = results.folder(number), started.process.returncode
    if status and ledger.record(folder).get("status") not in ("failed", "preempted"):
        killed = f"ended by {signal.Signals(-status).name}" if status < 0 else ""
        results.errors[number] = killed or _last_line(folder / LOG) or f"exit status {status}"
    outcome = results.outcome(number)
    said = f", test/acc1 {outcome.accuracy:.2f}" if outcome.accuracy is not None else ""
    said += f": {outcome.error}" if outcome.error else ""
    took = time.monotonic() - started.began
    _say(f"#{number} {outcome.status} after {took:.0f} s{said} ({len(results.ended)} ended)")


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt ``processes`` as the keyboard would, and end those that do not listen, with their own processes."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # each leads a group of its own
        process.wait()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
