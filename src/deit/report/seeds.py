"""Runs that differ by their seed alone, taken together: mean and 95 % interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deit.config.compose import NOT_FINGERPRINTED, NOT_FINGERPRINTED_KEYS, digest
from deit.report.facts import Facts, all_facts, is_shortened, origin
from deit.report.folders import Run
from deit.report.predictions import disagreement

CONFIDENCE = 0.95

# Names, places and loggers change nothing; where answers of the teacher were kept or taken from neither.
IGNORED_GROUPS = ("seed", *NOT_FINGERPRINTED)
IGNORED = {".".join(key) for key in NOT_FINGERPRINTED_KEYS} | {"distill.bank", "distill.bank_path", "distill.bank_part"}


@dataclass(frozen=True)
class Estimate:
    """A figure over seeds."""

    mean: float
    half_width: float | None
    """Half of the 95 % interval of the mean by Student's t with n - 1 degrees of freedom; None for one seed."""
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """From one value a seed, at least one."""
        n = len(values)
        mean = math.fsum(values) / n
        if n == 1:
            return cls(mean, None, 1)
        from scipy.special import stdtrit  # only who has several seeds waits for it

        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
        return cls(mean, float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(n), n)

    def scaled(self, factor: float) -> "Estimate":
        """The estimate of ``factor * x``."""
        width = None if self.half_width is None else abs(factor) * self.half_width
        return Estimate(factor * self.mean, width, self.n)


@dataclass(frozen=True)
class Group:
    """Runs of one configuration, and what can be asked of it."""

    runs: Sequence[Run]
    facts: Facts

    @cached_property
    def done(self) -> list[Run]:
        """One finished run a seed, the latest, that is no dry run: what counts."""
        finished = [run for run in self.runs if run.status == "done" and not run.dry_run]
        latest = {run.seed: run for run in sorted(finished, key=lambda run: run.environment.get("date", ""))}
        return sorted(latest.values(), key=lambda run: (run.seed is None, run.seed or 0))

    @property
    def shortened(self) -> bool:
        """Whether it had fewer epochs than its scale provides."""
        return is_shortened(self.runs[0])

    def estimate(self, figure: str) -> Estimate | None:
        """A figure of run.json over the seeds that have it; None if none has."""
        values = [value for run in self.done if (value := run.figure(figure)) is not None]
        return Estimate.of(values) if values else None

    def disagreement(self, one: str, partner: "Group", other: str) -> tuple[Estimate | None, list[str]]:
        """How often ``one`` decides otherwise than a partner's ``other``, over the seeds that both have.

        Returns the estimate, None where no seed has one, and a line for each pair of runs that has none.
        """
        partners = {run.seed: run for run in partner.done}
        values, problems = [], []
        for run in self.done:
            if (its := partners.get(run.seed)) is None:
                continue
            try:
                values.append(disagreement(run.predictions, one, its.predictions, other))
            except ValueError as problem:
                problems.append(str(problem))
        return Estimate.of(values) if values else None, problems


def groups(runs: Sequence[Run]) -> list[Group]:
    """The runs by configuration, in the order of their first."""
    together: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        together.setdefault(identity(run, runs), []).append(number)
    known = all_facts(runs)
    return [Group([runs[i] for i in members], known[members[0]]) for members in together.values()]


def identity(run: Run, runs: Sequence[Run], seen: frozenset[Path] = frozenset()) -> str:
    """A digest that two runs share exactly if they differ by seed alone, their weights' origin included.

    seen: Folders that the search has come through, which ends where runs name each other as their origin.
    """
    settings = computed_settings(run.config)
    if settings.get("init") is not None:
        first = origin(str(settings["init"]), runs)
        if first is not None and first.path not in seen:
            settings["init"] = identity(first, runs, seen | {run.path, first.path})
    return digest(settings)


def computed_settings(config: Mapping[str, object]) -> dict[str, object]:
    """The part of a configuration that changes what is computed, but for the seed."""
    return {
        key: value
        for key, value in config.items()
        if key.partition(".")[0] not in IGNORED_GROUPS and key not in IGNORED
    }


def varied(all_groups: Sequence[Group]) -> list[str]:
    """Keys in which the groups differ, in the order of the configuration."""
    settings = [computed_settings(group.runs[0].config) for group in all_groups]
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if len({repr(one.get(key)) for one in settings}) > 1]
