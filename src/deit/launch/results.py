"""What became of the jobs of a sweep: the table that it ends with, however it ends."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from deit.config import ledger
from deit.config.errors import printable

LONGEST = 300  # characters of an error that are shown; train.log has it all
WIDTH = 120  # characters, where no terminal has a width of its own
STATUSES = ("done", "failed", "preempted", "cut off", "queued", "not started")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, or did not."""

    status: str
    """One of `STATUSES`."""
    accuracy: float | None = None
    """test/acc1 in percent."""
    error: str = ""


@dataclass
class Results:
    """Follows the jobs of a sweep by what they leave in its folder."""

    sweep: Path
    jobs: list[list[str]]
    """The overrides of each."""
    errors: dict[int, str] = field(default_factory=dict)
    """Why jobs of this process failed; some do before they have a run.json."""
    ended: set[int] = field(default_factory=set)
    """Jobs that came to an end in this process, well or not."""
    queued: set[int] = field(default_factory=set)
    """Jobs that go on without this process."""
    is_shown: bool = False

    def folder(self, number: int) -> Path:
        return self.sweep / str(number)

    def outcome(self, number: int) -> Outcome:
        """What is known of a job now."""
        if number in self.errors:
            return Outcome("failed", error=self.errors[number])
        if number in self.queued:
            return Outcome("queued")
        record = ledger.record(self.folder(number))
        status = str(record.get("status", "done" if number in self.ended else "not started"))
        metrics = record.get("metrics")
        accuracy = metrics.get("test/acc1") if isinstance(metrics, dict) else None
        return Outcome(
            "cut off" if status == "running" else printable(status),
            accuracy if isinstance(accuracy, (int, float)) else None,
            printable(record.get("error") or ""),
        )

    def show(self) -> int:
        """Print the table, once; returns the exit status: 0 if all jobs are done, else 1."""
        outcomes = [self.outcome(number) for number in range(len(self.jobs))]
        is_done = all(outcome.status == "done" for outcome in outcomes)
        if not self.is_shown:
            self.is_shown = True
            self._print(outcomes)
            if not is_done:
                sys.stdout.write(f"to do what is left: the same command with hydra.sweep.dir={self.sweep}\n")
            sys.stdout.flush()
        return 0 if is_done else 1

    def _print(self, outcomes: list[Outcome]) -> None:
        from rich.console import Console  # what is refused at once does without
        from rich.table import Table

        statuses = [outcome.status for outcome in outcomes]
        counts = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES if status in statuses)
        sys.stdout.write(f"{self.sweep}: {counts}\n")
        table = Table("job", "what", "status", "test/acc1")
        has_errors = any(outcome.error for outcome in outcomes)
        if has_errors:
            table.add_column("why")
        for number, (what, outcome) in enumerate(zip(ledger.varied(self.jobs), outcomes, strict=True)):
            accuracy = "" if outcome.accuracy is None else f"{outcome.accuracy:.2f}"
            cells = [f"{number}", what, outcome.status, accuracy, *([outcome.error[:LONGEST]] if has_errors else [])]
            table.add_row(*(cell.replace("[", "\\[") for cell in cells))  # rich reads markup in brackets
        Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
