"""Jobs of a sweep in processes of their own: each starts when there is room, and what it starts from has ended."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from deit.config import ledger
from deit.config.errors import printable
from deit.launch.results import Results

LOG = "train.log"
NOTICE_S = 60.0  # after which a job that has not begun to train is reported, and again after twice the time
PATIENCE = 20.0  # seconds that an interrupted job has to write down how far it came


class Place(Protocol):
    """Where jobs run."""

    pause: float
    """Seconds between two looks at what has ended."""
    beginning: str
    """What to say of a job that was started."""

    def start(self, numbers: Sequence[int]) -> Mapping[int, str]:
        """Start these jobs; returns where to read what each says."""
        ...

    def ended(self) -> Mapping[int, str]:
        """The jobs that ended since it was asked last, and for each why, as far as run.json does not say it."""
        ...

    def waits_for(self, number: int) -> str:
        """Return what a job that has not begun to train said last, or its state in the queue."""
        ...

    def leave(self) -> None:
        """Let go of the jobs that are still at work; called however the sweep ends."""
        ...


def run_all(
    results: Results, waiting: Sequence[int], place: Place, *, at_once: int | None, starts: Mapping[int, int]
) -> None:
    """Run the jobs numbered ``waiting``; one that fails does not stop the others.

    at_once: how many; None: as many as can. starts: which job another one must wait for, because it starts from its
    weights.
    """
    left = list(waiting)
    what = ledger.varied(results.jobs)
    running: dict[int, float] = {}
    notices: dict[int, float] = {}  # seconds after which a job that has not begun is reported next
    try:
        while left or running:
            room = len(left) if at_once is None else at_once - len(running)
            ready = [number for number in left if starts.get(number) not in (*left, *running)][:room]
            if ready:
                left = [number for number in left if number not in ready]
                for number, log in place.start(ready).items():
                    running[number], notices[number] = time.monotonic(), NOTICE_S
                    say(f"#{number} {place.beginning}: {what[number]} ({log})")
            time.sleep(place.pause)
            for number, why in place.ended().items():
                _say_end(results, number, why, time.monotonic() - running.pop(number))
            for number, began in running.items():
                if (waited_s := time.monotonic() - began) > notices[number]:
                    notices[number] = 2 * waited_s
                    _report_unbegun(results, number, place, waited_s)
    finally:
        place.leave()


def _say_end(results: Results, number: int, why: str, took: float) -> None:
    results.ended.add(number)
    if why:
        results.errors[number] = why
    outcome = results.outcome(number)
    said = f", test/acc1 {outcome.accuracy:.2f}" if outcome.accuracy is not None else ""
    said += f": {outcome.error}" if outcome.error else ""
    say(f"#{number} {outcome.status} after {took:.0f} s{said} ({len(results.ended)} ended)")


def _report_unbegun(results: Results, number: int, place: Place, waited_s: float) -> None:
    """Report a job that has not begun to train, with what it waits for."""
    folder = results.folder(number)
    record, file = ledger.record(folder), folder / ledger.RECORD
    is_running = record.get("status") == "running"
    is_of_now = file.is_file() and file.stat().st_mtime >= time.time() - waited_s
    if record.get("began") if is_running else is_of_now:
        return
    reason = place.waits_for(number)
    say(f"#{number} has not begun to train after {waited_s:.0f} s{f': {printable(reason)}' if reason else ''}")


def last_line(file: Path, *, but: tuple[str, ...] = ()) -> str:
    """The last line of ``file`` that is not empty and does not begin with ``but``; nothing where there is none."""
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith(but)), "")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
