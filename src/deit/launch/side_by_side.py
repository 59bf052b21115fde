"""Jobs of a sweep side by side on one machine, each in a process of its own: ``resources=local_parallel``."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from deit.config import ledger
from deit.config.arguments import in_grammar
from deit.config.drafts import append_to
from deit.launch.queue import LOG, PATIENCE, last_line
from deit.launch.results import Results

DIES_WITH_PARENT = 1  # Linux's PR_SET_PDEATHSIG


def num_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SideBySide:
    """A place for jobs: processes of this one, none of which outlives it.

    settings: flags, then overrides of Hydra's own, that every job gets; flags may stand first alone.
    """

    pause = 0.05
    beginning = "starts"

    def __init__(self, results: Results, settings: Sequence[str]) -> None:
        self.results, self.settings = results, settings
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, numbers: Sequence[int]) -> Mapping[int, str]:
        return {number: self._start(number) for number in numbers}

    def _start(self, number: int) -> str:
        folder = self.results.folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        given = [*self.settings, *self.results.jobs[number], f"hydra.run.dir={in_grammar(folder)}"]
        with append_to(folder / LOG) as log:
            self.running[number] = subprocess.Popen(
                [sys.executable, sys.argv[0], *given],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # Hydra writes the same into train.log
                stderr=log,
                start_new_session=True,  # so that Ctrl-C comes to it once, from here
                preexec_fn=_dying_with_parent(),
            )
        return str(folder / LOG)

    def ended(self) -> Mapping[int, str]:
        over = {number: process for number, process in self.running.items() if process.poll() is not None}
        self.running = {number: process for number, process in self.running.items() if number not in over}
        return {number: self._why(number, process.returncode) for number, process in over.items()}

    def _why(self, number: int, status: int) -> str:
        folder = self.results.folder(number)
        if not status or ledger.record(folder).get("status") in ("failed", "preempted"):
            return ""
        killed = f"ended by {signal.Signals(-status).name}" if status < 0 else ""
        return killed or last_line(folder / LOG) or f"exit status {status}"

    def waits_for(self, number: int) -> str:
        return last_line(self.results.folder(number) / LOG)

    def leave(self) -> None:
        """Interrupt the jobs as the keyboard would, and end those that do not listen, with their own processes."""
        for process in self.running.values():
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # each leads a group of its own
            process.wait()


def _dying_with_parent() -> Callable[[], object] | None:
    """What a job does before it starts, so that it ends even where this process is killed; only Linux knows how."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(DIES_WITH_PARENT, signal.SIGKILL)  # Lightning's answer to SIGTERM may wait for data workers
