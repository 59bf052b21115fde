"""The paper's tables filled with our figures, cell by cell.

All figures of one filled table come from one scale, one data set, and runs that agree in whatever the table holds
(`Table.held`): of several such families the one that fills most cells. The others are counted and left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deit.config.compose import digest
from deit.report.facts import as_typed, meets, unmet
from deit.report.folders import Run
from deit.report.published import DISAGREEMENT, Cell, Table
from deit.report.seeds import Estimate, Group, computed_settings

NO_RUN = "no run"
NO_OTHER = "no run to compare with"

THROUGHPUT, BATCH = "timing/inference_images_per_s", "timing/inference_batch"

NEARLY = ("finetuned", "paper_epochs", "teacher_net")
"""Conditions whose failure alone is worth a remark: a run was most likely meant for the table."""

Place = tuple[int, int]
"""Row and column."""


@dataclass(frozen=True)
class Filled:
    """What stands beside a figure of the paper."""

    estimate: Estimate | None
    runs: Sequence[Run]
    """All that belong in the cell, finished or not."""
    missing: str | None
    """Why there is no figure; None where there is one."""
    remark: str | None = None


@dataclass(frozen=True)
class FilledTable:
    """A table of the paper beside runs of one scale and one data set."""

    table: Table
    scale: str
    data: str
    """The data set; empty where the table's own columns are data sets."""
    cells: dict[Place, Filled]
    remarks: list[str] = field(default_factory=list)

    @property
    def num_filled(self) -> int:
        return sum(filled.estimate is not None for filled in self.cells.values())

    @property
    def says_something(self) -> bool:
        """Whether there is a figure, or a run that is to bring one."""
        unfinished = (run.status != "done" for filled in self.cells.values() for run in filled.runs)
        return self.num_filled > 0 or any(unfinished)

    @property
    def file_name(self) -> str:
        """Of the files made from it, without a suffix."""
        return file_name(self.table.name, self.scale, self.data)

    def delta(self, place: Place) -> float | None:
        """Our mean less the paper's figure; None where one is missing or they do not measure the same thing."""
        r, c = place
        paper, filled = self.table.rows[r].cells[c].paper, self.cells.get(place)
        if not self.table.columns[c].compare or not isinstance(paper, (int, float)):
            return None
        return None if filled is None or filled.estimate is None else filled.estimate.mean - paper

    def missing(self) -> Iterator[tuple[str, dict[str, list[str]]]]:
        """By row: the columns without a figure, by the reason."""
        for r, row in enumerate(self.table.rows):
            reasons: dict[str, list[str]] = {}
            for c, column in enumerate(self.table.columns):
                filled = self.cells.get((r, c))
                if filled is not None and filled.missing is not None:
                    reasons.setdefault(filled.missing, []).append(column.label)
            if reasons:
                yield row.label, reasons


def file_name(*parts: str) -> str:
    """``parts``, which may come from a file, as one harmless name."""
    return "-".join(re.sub(r"\W+", "_", part)[:40] for part in parts if part)


def fill(tables: Sequence[Table], groups: Sequence[Group]) -> list[FilledTable]:
    """Every table that at least one run belongs in, once a scale and data set."""
    filled: list[FilledTable] = []
    for table in tables:
        settings = {(_named(g, "scale"), "" if table.chooses_data else _named(g, "data")): None for g in groups}
        for scale, data in settings:
            mine = [g for g in groups if _named(g, "scale") == scale and data in ("", _named(g, "data"))]
            if (one := _fill(table, mine, scale, data)) is not None:
                filled.append(one)
    return filled


def _named(group: Group, part: str) -> str:
    return str(group.facts.get(f"{part}.name", "unknown"))


def _fill(table: Table, groups: Sequence[Group], scale: str, data: str) -> FilledTable | None:
    families: dict[str, dict[Place, list[Group]]] = {}
    for r, c, cell in table.cells():
        if cell.can_be_filled:
            for group in groups:
                if meets(group.facts, cell.conditions or {}):
                    families.setdefault(_held(group, table), {}).setdefault((r, c), []).append(group)
    if not families:
        return None
    family, best = max(families.items(), key=lambda one: (_num_finished(one[1]), len(one[1])))
    cells: dict[Place, Filled] = {}
    for r, c, cell in table.cells():
        if cell.can_be_filled:
            wanted = cell.other
            partners = [g for g in groups if wanted and meets(g.facts, wanted) and _held(g, table) == family]
            cells[r, c] = _filled(cell, best.get((r, c), []), partners, table.columns[c].unit)
    remarks = list(dict.fromkeys(f.remark for f in cells.values() if f.remark is not None))
    chosen = {id(group) for cell in best.values() for group in cell}
    remarks += _nearly(table, groups)
    remarks += _devices(table, cells)
    others = {id(group) for family in families.values() for cell in family.values() for group in cell} - chosen
    if others:
        remarks.append(
            f"left out, {len(others)} more configuration{'s' if len(others) > 1 else ''}: all runs of this table must"
            f" agree in {', '.join(table.held)}; report the others by themselves"
        )
    return FilledTable(table, scale, data, cells, remarks)


def _devices(table: Table, cells: dict[Place, Filled]) -> Iterator[str]:
    """On what the throughputs of a table were measured, for they are no property of a network alone."""
    places: dict[str, None] = {}
    for (r, c), filled in cells.items():
        if table.rows[r].cells[c].figure == THROUGHPUT and filled.estimate is not None:
            for run in filled.runs:
                if (batch := run.figure(BATCH)) is not None:
                    places[f"{run.environment.get('device', 'a device without a name')}, batch {batch:.0f}"] = None
    if places:
        yield f"images/s of inference on one device ({'; '.join(places)}); the paper's is a V100, so no Δ"


def _nearly(table: Table, groups: Sequence[Group]) -> Iterator[str]:
    """What keeps runs from every cell of a table though one condition alone is not met."""
    all_conditions = [cell.conditions or {} for _, _, cell in table.cells() if cell.can_be_filled]
    kept_out: dict[str, list[str]] = {}
    for group in groups:
        failed = [unmet(group.facts, conditions) for conditions in all_conditions]
        if [] not in failed:
            for key in {keys[0] for keys in failed if len(keys) == 1 and keys[0] in NEARLY}:
                kept_out.setdefault(f"{key}={as_typed(group.facts.get(key))}", []).append(group.runs[0].name)
    for fact, names in kept_out.items():
        yield f"in no cell because of {fact} alone: {', '.join(names)}"


def _held(group: Group, table: Table) -> str:
    """What a group has for the keys that a table holds."""
    settings = computed_settings(group.runs[0].config)
    same = {k: v for k, v in settings.items() if any(f"{k}.".startswith(f"{held}.") for held in table.held)}
    return digest(same)


def _num_finished(cells: dict[Place, list[Group]]) -> int:
    return sum(any(group.done for group in found) for found in cells.values())


def _filled(cell: Cell, found: Sequence[Group], partners: Sequence[Group], unit: str) -> Filled:
    """The figure of the group that stands for a cell: has one, most seeds, whole length, the latest.

    partners: Groups that may be the other side of a disagreement, where that is another run's.
    """
    found, partners = _no_dry_runs(found), _no_dry_runs(partners)
    runs = [run for group in (*found, *partners) for run in group.runs]
    if not found or (cell.other is not None and not partners):
        return Filled(None, runs, NO_OTHER if found or partners else NO_RUN)
    measured = [
        _Measured(group, other, *_estimate(cell.figure or "", group, other))
        for group in found
        for other in (partners if cell.other is not None else [group])
    ]
    chosen = max(measured, key=lambda one: one.weight)
    estimate = chosen.estimate
    if estimate is None:
        return Filled(None, runs, _why(chosen, cell))
    if unit == "M":  # millions
        estimate = estimate.scaled(1e-6)
    remarks = [*chosen.problems, _remark(chosen.group, found) or _remark(chosen.other, partners)]
    return Filled(estimate, runs, None, "; ".join(filter(None, remarks)) or None)


@dataclass(frozen=True)
class _Measured:
    """A figure of a group, or of two."""

    group: Group
    other: Group
    """The same where the figure is of one."""
    estimate: Estimate | None
    problems: Sequence[str]
    """What runs could not be counted, and why."""

    @property
    def weight(self) -> tuple[bool, int, bool, str]:
        runs = [*self.group.runs, *self.other.runs]
        num_seeds = min(len(self.group.done), len(self.other.done))
        latest = max(run.environment.get("date", "") for run in runs)
        return (self.estimate is not None, num_seeds, not (self.group.shortened or self.other.shortened), latest)


def _estimate(figure: str, group: Group, other: Group) -> tuple[Estimate | None, Sequence[str]]:
    if not figure.startswith(DISAGREEMENT):
        return group.estimate(figure), ()
    mine, _, its = figure.removeprefix(DISAGREEMENT).partition("/")
    return group.disagreement(mine, other, its)


def _no_dry_runs(found: Sequence[Group]) -> Sequence[Group]:
    """Without groups of dry runs alone, unless there are no others."""
    return [group for group in found if not all(run.dry_run for run in group.runs)] or found


def _why(measured: _Measured, cell: Cell) -> str:
    """Why there is no figure for a cell."""
    if measured.problems:
        return "; ".join(measured.problems)
    for group in (measured.group, measured.other):
        if not group.done:
            return ", ".join(dict.fromkeys(state(run) for run in group.runs))
    return "no seed in common" if cell.other is not None else f"run.json has no {cell.figure}"


def state(run: Run) -> str:
    """How far a run is, or why it ended."""
    if run.dry_run:
        return "dry run"
    if run.status == "failed":
        return f"failed ({run.error})" if run.error else "failed"
    epochs = run.config.get("optim.epochs")
    return run.status if run.status == "done" else f"{run.status} (epoch {run.epoch} of {epochs})"


def _remark(chosen: Group, found: Sequence[Group]) -> str | None:
    if others := [group.runs[0].name for group in found if group is not chosen and group.done]:
        return f"a cell has several configurations; shown is that of {chosen.runs[0].name}, not of {', '.join(others)}"
    if chosen.shortened:
        epochs, whole = chosen.facts.get("optim.epochs"), chosen.facts.get("scale.epochs")
        return f"trained for {epochs} epochs of the {whole} that the scale has"
    return None
