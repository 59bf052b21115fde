"""Signals: a real run of its own is told to end as a scheduler would, and goes on from its checkpoint."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from submitit.core.job_environment import JobEnvironment

from deit.config.errors import ConfigError, RunError
from deit.config.schema import Config
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Verdict, ok, problem
from deit.training import checkpoints
from deit.training.preemption import TEMPORARY

TRAIN = Path(__file__).parents[2] / "train.py"
# A step of milliseconds, an epoch of a few of them, and more epochs than the check will see. All groups are named, for
# a site may have other defaults.
RUN = (
    "data=digits", "scale=nano", "model=deit_ti", "resolution=own", "augment=light", "optim=adamw", "distill=none",
    "teacher=none", "trainer=cpu", "trainer.devices=1", "logger=csv", "resources=local", "init=null",
    "scale.depth=1", "data.train_fraction=0.1", "data.workers=0", "optim.epochs=5000",
)  # fmt: skip
PATIENCE = 120.0  # seconds until a run has begun; on a busy machine imports take a while
ANSWER = 60.0  # seconds; SLURM gives 30 between SIGTERM and SIGKILL unless told otherwise, a step here takes none
LAST_LINES = 3


def check(subject: Subject) -> Iterator[Verdict]:
    """Start the run, signal it, start it again, signal it again."""
    number = asked_with(subject.given)
    with tempfile.TemporaryDirectory() as folder:
        run = OwnRun(Path(folder))
        try:
            first = run.ended_by(number, beyond=0)
            yield answer(number, first, run.last_said())
            if first.status == TEMPORARY:
                second = run.ended_by(number, beyond=first.step)
                yield going_on(first, second, run.said())
        finally:
            run.kill()


def asked_with(config: Config) -> signal.Signals:
    """By which the place where ``config`` runs announces the end: submitit's, before a time limit, or the usual one."""
    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"] if config.resources.submits else signal.SIGTERM


class Ended(NamedTuple):
    """How a run answered a signal."""

    status: int
    seconds: float
    step: int
    """Of the checkpoint that it left."""


def answer(number: signal.Signals, ended: Ended, said: str) -> Verdict:
    """What to say of a run that a signal ended; ``said`` is what it said last."""
    told = f"{number.name} ended a run with status {ended.status} after {ended.seconds:.1f} s"
    if ended.status != TEMPORARY:
        return problem("signal", f"{told}, not with {TEMPORARY}", f"it said last: {said}")
    return ok("signal", f"{told}; last.ckpt is of step {ended.step:,}")


def going_on(first: Ended, second: Ended, said: str) -> Verdict:
    """What to say of the same command started again; ``said`` is what both said."""
    resumed = re.findall(r"resuming from \S+ at step (\d+)", said)
    told = f"the same command began at step {', '.join(resumed) or '0'} and came to step {second.step:,}"
    if resumed == [str(first.step)] and second.step > first.step:
        return ok("going on", told)
    return problem("going on", f"{told}, the checkpoint was of {first.step:,}", f"it said: {said}")


class OwnRun:
    """A run in ``folder``, started as often as it is ended."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "said"
        self.last = folder / "run" / "checkpoints" / checkpoints.LAST
        self.process: subprocess.Popen[bytes] | None = None

    def ended_by(self, number: signal.Signals, *, beyond: int) -> Ended:
        """Start it, wait until it is past step ``beyond``, and send a signal.

        Raises:
            RunError: if it does not begin, or does not end.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        with self.log.open("ab") as log:
            self.process = process = subprocess.Popen(
                [sys.executable, str(TRAIN), *RUN, f"hydra.run.dir={self.folder / 'run'}"],
                cwd=self.folder,
                env=environment,  # within a job Lightning would take part in it
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait(lambda: process.poll() is not None or self._step() > beyond, PATIENCE, "began no epoch")
        began = time.monotonic()
        with suppress(ProcessLookupError):
            process.send_signal(number)
        self._wait(lambda: process.poll() is not None, ANSWER, f"did not end after {number.name}")
        assert process.returncode is not None
        return Ended(process.returncode, time.monotonic() - began, self._step())

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def last_said(self) -> str:
        return " ".join(self.said().strip().splitlines()[-LAST_LINES:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _step(self) -> int:
        """Of the last checkpoint; 0 while there is none, or one takes the place of another."""
        with suppress(ConfigError):
            return checkpoints.step_of(self.last)
        return 0

    def _wait(self, is_over: Callable[[], bool], seconds: float, fault: str) -> None:
        deadline = time.monotonic() + seconds
        while not is_over():
            if time.monotonic() > deadline:
                raise RunError(f"a run {fault} within {seconds:.0f} s; it said last: {self.last_said()}")
            time.sleep(0.1)
