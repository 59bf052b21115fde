"""The runs of the study by setting, seed and cell. Accuracies and agreements are in percent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deit.config.cells import split
from deit.config.errors import ConfigError
from deit.report.folders import Run
from deit.report.predictions import disagreement
from deit.report.seeds import Estimate

FUSED, CLASS, DISTILL, TEACHER = "fused", "class", "distill", "teacher"
"""Who decides: columns of predictions.npz, and the ends of the figures of run.json."""
TITLES = {"fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "cifar10_jpeg": "CIFAR-10 as JPEG"}
"""Names of data sets as their authors write them; others go by their name here."""


class Missing(LookupError):
    """What a figure needs is not among the runs; the text says what."""


@dataclass(frozen=True)
class Seed:
    """The finished runs of one setting that have one seed, by cell: ``token,half`` for ``cell=[token,half]``."""

    runs: Mapping[str, Run]

    def run(self, cell: str) -> Run:
        """The run of a cell; raises Missing."""
        if cell not in self.runs:
            raise Missing(f"no run of cell=[{cell}]")
        return self.runs[cell]

    def __call__(self, cell: str, head: str | None = None) -> float:
        """Accuracy of a cell's run on the test split, of its decision or of one head; raises Missing."""
        return self.figure(cell, "test/acc1" if head is None else f"test/acc1_{head}")

    def teacher(self, cell: str) -> float:
        """Accuracy of the teacher of a cell's run on the test split; raises Missing."""
        return self.figure(cell, "teacher/acc1")

    def figure(self, cell: str, name: str) -> float:
        """A figure of a cell's run.json; raises Missing."""
        value = self.run(cell).figure(name)
        if value is None:
            raise Missing(f"no {name} in {self.run(cell).name}")
        return value

    def agreement(self, cell: str, one: str, other_cell: str, other: str) -> float:
        """Share of the test images for which two decide for the same class; raises Missing."""
        mine, theirs = self.run(cell), self.run(other_cell)
        try:
            return 100 * (1 - disagreement(mine.predictions, one, theirs.predictions, other))
        except ValueError as problem:
            raise Missing(str(problem)) from None


@dataclass(frozen=True)
class Setting:
    """One data set, and how much of it is trained on."""

    data: str
    fraction: float
    """Share of the training images, in (0, 1]."""
    by_seed: dict[int, dict[str, Run]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{TITLES.get(self.data, self.data)}, {100 * self.fraction:g} %"

    @property
    def seeds(self) -> list[Seed]:
        return [Seed(runs) for _, runs in sorted(self.by_seed.items())]

    @property
    def runs(self) -> list[Run]:
        return [run for runs in self.by_seed.values() for run in runs.values()]

    @property
    def cells(self) -> list[str]:
        """Cells that at least one seed has, in the order of the first job that had each."""
        return list(dict.fromkeys(cell for runs in self.by_seed.values() for cell in runs))

    def over_seeds(self, figure: Callable[[Seed], float]) -> Estimate | str:
        """A figure over the seeds that have all runs it needs, or why none has."""
        values, reasons = [], []
        for seed in self.seeds:
            try:
                values.append(figure(seed))
            except Missing as reason:
                reasons.append(str(reason))
        return Estimate.of(values) if values else reasons[0]


def settings(runs: Sequence[Run]) -> list[Setting]:
    """The settings that finished runs belong to: by the name of the data, little of it before all.

    Raises:
        ConfigError: for two runs of one cell and seed, of which only one can count, and where no run is of a grid.
    """
    found: dict[tuple[str, float], Setting] = {}
    for run in runs:
        cell = ",".join(split(run.overrides)[0])
        if not cell or run.status != "done" or run.dry_run or run.seed is None:
            continue
        data, fraction = str(run.config.get("data.name")), float(str(run.config.get("data.train_fraction")))
        setting = found.setdefault((data, fraction), Setting(data, fraction))
        known = setting.by_seed.setdefault(run.seed, {})
        if cell in known:
            raise ConfigError(
                f"{known[cell].name} and {run.name} are both cell=[{cell}] with seed={run.seed} of {setting.title};"
                " one configuration can be compared with itself only once: pass the folder of one of them"
            )
        known[cell] = run
    if not found:
        raise ConfigError(
            f"none of {len(runs)} runs is a finished job of a grid of cells; pass a folder of sweeps of"
            " experiment=study/little or experiment=study/full"
        )
    return [found[key] for key in sorted(found)]
