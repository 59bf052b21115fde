"""Plan of a sweep: its jobs and how long they would take on this machine. Nothing is trained or written."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from deit.config import compose, ledger
from deit.config.errors import ConfigError
from deit.config.ledger import State
from deit.config.schema import Config
from deit.data.sources import DataSet, open_dataset
from deit.training import plan, probe
from deit.training.run import configure_torch, suited

# Settings that change the result, but not the time per image; `None` stands for a whole group.
NO_MATTER: Mapping[str, tuple[str, ...] | None] = {
    "seed": None,
    "init": None,
    "init_ema": None,
    "init_positions": None,
    "resolution": None,  # the image's size stands for it
    "optim": ("lr", "scale_lr", "epochs", "warmup_epochs", "schedule", "warmup_lr", "min_lr", "weight_decay",
              "decay_dist_token", "momentum", "ema_chosen"),
    "scale": ("lr", "epochs", "warmup_epochs", "teacher_epochs", "teacher_lr", "teacher_batch_size", "teacher_source"),
    "distill": ("alpha", "tau", "kl", "fusion", "bank_path", "bank_part", "views"),
    "teacher": ("source", "checkpoint", "checkpoints", "fit"),
    "trainer": ("patience",),
    "own": None,
}  # fmt: skip


def show(sweep: Path, jobs: Sequence[Sequence[str]], configs: Sequence[Config]) -> None:
    """Print a row per job with what varies, its state and its time, and the total.

    Args:
        jobs: Overrides of each job.

    Raises:
        ConfigError: For mistakes that only the data can reveal, with the number of the job.
    """
    estimates = Estimates(earlier(sweep, configs))
    states = [ledger.state(sweep / str(number), resume=job.resume) for number, job in enumerate(configs)]
    table = Table("job", "overrides", "state", "per epoch", "total", title=f"Plan of a sweep; {ledger.counted(states)}")
    total = 0.0
    for number, (what, config, state) in enumerate(zip(ledger.varied(jobs), configs, states, strict=True)):
        cells = ["", ""]
        if state is not State.done:
            try:
                epoch = estimates.epoch(config)
            except ConfigError as error:
                raise ConfigError(f"#{number} {' '.join(jobs[number])}\n  - {error}") from None
            total += config.optim.epochs * epoch
            cells = [plan.duration(epoch), plan.duration(config.optim.epochs * epoch)]
        table.add_row(*(cell.replace("[", "\\[") for cell in (f"{number}", what, state.value, *cells)))
    table.add_section()
    table.add_row("", "total, if the jobs run one after another", "", "", plan.duration(total))
    console = Console(width=None if sys.stdout.isatty() else plan.WIDTH)
    console.print(table)
    somewhere_else = {text: None for config in configs for text in plan.elsewhere(config)}
    for line in (*estimates.remarks(), *somewhere_else):
        console.print(line, soft_wrap=True)


def earlier(sweep: Path, configs: Sequence[Config]) -> dict[str, float]:
    """Return the seconds per epoch of the finished jobs, by `speed`."""
    known: dict[str, float] = {}
    for number, config in enumerate(configs):
        record = ledger.record(sweep / str(number))
        seconds = cast(dict[str, float], record.get("timing") or {}).get("fit_s")
        if record.get("status") == "done" and seconds is not None:
            # Only the last part of a resumed run was timed: the longest is the nearest to the whole.
            stopped = cast(dict[str, int], record.get("stopped") or {})
            epochs = stopped.get("epochs", config.optim.epochs)
            known[speed(config)] = max(seconds / epochs, known.get(speed(config), 0.0))
    return known


class Estimates:
    """Seconds per epoch of every job, measured once for jobs of the same speed.

    Args:
        known: Seconds per epoch of earlier jobs, by `speed`.
    """

    def __init__(self, known: Mapping[str, float]) -> None:
        self.known = dict(known)
        self.num_earlier, self.num_probes = len(known), 0
        self.datasets: dict[str, DataSet] = {}
        self.unfitted: set[Path] = set()

    def epoch(self, config: Config) -> float:
        """Return the seconds per epoch of ``config`` on its devices, if they share the work evenly."""
        key, dataset = speed(config), self._dataset(config)
        config = suited(config, dataset)
        self.unfitted.update(plan.unfitted(config, dataset))
        if key not in self.known:
            configure_torch(config)
            data, student, teacher = plan.parts(config, dataset)
            measured = probe.measure(config, data, student, teacher)
            self.known[key] = plan.epoch_seconds(config, data, measured) / config.trainer.world_size
            self.num_probes += 1
        return self.known[key]

    def remarks(self) -> list[str]:
        """Return where the estimates come from and what they leave out."""
        earlier = f", {plan.counted(self.num_earlier, 'speed')} of finished jobs" if self.num_earlier else ""
        measured = plan.counted(self.num_probes, "speed")
        lines = [f"Estimates: {measured} measured here{earlier}. A job that resumes is counted in full."]
        if self.unfitted:
            lines.append(f"Not included: {plan.counted(len(self.unfitted), 'teacher')} to train first.")
        return lines

    def _dataset(self, config: Config) -> DataSet:
        key = compose.digest(config.data)
        if key not in self.datasets:
            self.datasets[key] = open_dataset(config.data)
        return self.datasets[key]


def speed(config: Config) -> str:
    """Return a digest that is the same for two runs whose epochs take equally long."""
    values = compose.computed(cast(dict, compose.plain(config)))
    kept = {
        group: {key: item for key, item in value.items() if key not in NO_MATTER[group]}
        if group in NO_MATTER
        else value
        for group, value in values.items()
        if NO_MATTER.get(group, ()) is not None
    }
    if not config.uses_teacher:
        kept |= {"teacher": None, "distill": config.token}
    return compose.digest(kept | {"image_size": config.image_size})
