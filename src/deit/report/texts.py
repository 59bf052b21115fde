"""Figures and configurations as short texts, the same in Markdown, on the page and in plots."""

from collections.abc import Sequence

from deit.report.cells import FilledTable
from deit.report.facts import Facts, as_typed
from deit.report.folders import Run
from deit.report.published import Cell, Column
from deit.report.seeds import Estimate, Group, varied

NOTHING = "\u2013"  # a dash
NAMED = ("model.name", "distill.method", "distill.token", "teacher.name")
"""Keys that a group's label says anyway."""
CHOICES = {"augment": "augment.name", "model": "model.name", "teacher": "teacher.name", "trainer": "trainer.name",
           "distill": "distill.method", "optim": "optim.kind", "scale": "scale.name", "data": "data.name"}  # fmt: skip
"""What a group's option is called; the rest of the group often follows from it."""
SIZE = ("resolution.name", "resolution.paper_pixels", "resolution.pixels", "data.num_classes", "data.kind")
"""Keys that the label says in other words."""


def paper_text(cell: Cell, column: Column) -> str:
    """The paper's figure as printed: ``83.1``, ``83.1 [83.0]`` with ICML's, ``84.1?`` where unconfirmed."""
    if cell.paper is None:
        return NOTHING
    text = _as_printed(cell.paper, column.digits)
    if cell.icml is not None:
        text += f" [{_as_printed(cell.icml, column.digits)}]"
    return f"{text}?" if cell.unconfirmed else text


def _as_printed(value: float | str, digits: int) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{max(digits, len(repr(value).partition('.')[2]))}f}"


def ours_text(estimate: Estimate | None, digits: int) -> str:
    """Mean, half of the 95 % interval, seeds: ``74.1 ± 0.6, n=3``."""
    if estimate is None:
        return NOTHING
    mean = signed(f"{estimate.mean:.{digits}f}")
    if estimate.half_width is None:
        return f"{mean}, n=1"
    return f"{mean} ± {estimate.half_width:.{digits}f}, n={estimate.n}"


def delta_text(delta: float | None, digits: int) -> str:
    """With its sign."""
    return NOTHING if delta is None else signed(f"{delta:+.{digits}f}")


def signed(number: str) -> str:
    """With a minus that is no hyphen: a line must not break after it."""
    return number.replace("-", "\u2212")


def is_compared(filled: FilledTable, c: int) -> bool:
    """Whether a column has anything of ours."""
    return any(place[1] == c for place in filled.cells)


def heading(column: Column) -> str:
    """A column's label with its unit."""
    return f"{column.label}, {column.unit}" if column.unit else column.label


def setting(filled: FilledTable) -> str:
    """What ours is, in a table's title."""
    return ", ".join(part for part in (f"scale {filled.scale}", filled.data) if part)


def missing_lines(filled: FilledTable) -> list[str]:
    """A line a row that is not full: which columns, and why."""
    return [
        f"{row}: " + "; ".join(f"{', '.join(columns)} ({reason})" for reason, columns in reasons.items())
        for row, reasons in filled.missing()
    ]


def method(known: Facts) -> str:
    """How the student learns: ``hard + token``."""
    return f"{known.get('distill.method')}{' + token' if known.get('distill.token') is True else ''}"


def teacher(known: Facts) -> str:
    """Who teaches; nobody without distillation."""
    if known.get("distill.method") == "none" and known.get("distill.compare") is not True:
        return "none"
    return str(known.get("teacher_net"))


def labels(groups: Sequence[Group]) -> list[str]:
    """A label a group that tells it from the others: ``deit_ti, hard + token, regnety_160, 224, augment.mixup=0``."""
    rest = [key for key in varied(groups) if key not in NAMED and key not in SIZE and not _follows(key, groups)]
    texts = []
    for group in groups:
        known = group.facts
        parts = [str(known.get("model.name")), method(known), teacher(known), str(known.get("paper_pixels"))]
        texts.append(", ".join([*parts, *other_settings(group, rest, groups)]))
    return texts


def _follows(key: str, groups: Sequence[Group]) -> bool:
    """Whether the option that was chosen for its group says what ``key`` is."""
    choice = CHOICES.get(key.partition(".")[0], key)
    pairs = {(repr(group.facts.get(choice)), repr(group.facts.get(key))) for group in groups}
    return choice != key and len(pairs) == len({chosen for chosen, _ in pairs})


def other_settings(group: Group, keys: Sequence[str], groups: Sequence[Group]) -> list[str]:
    """``key=value`` for what varies and is not as in most groups."""
    found = []
    for key in keys:
        values = [repr(other.facts.get(key)) for other in groups]
        usual = max(dict.fromkeys(values), key=values.count)
        if repr(group.facts.get(key)) != usual:
            found.append(f"{key}={as_typed(group.facts.get(key))}")
    return found


def count_statuses(runs: Sequence[Run]) -> str:
    """``12 runs: 10 done, 1 running, 1 failed``."""
    statuses = [run.status for run in runs]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    dry = sum(run.dry_run for run in runs)
    of_them = f"; {dry} of them dry runs" if dry else ""
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}{f': {counts}' if runs else ''}{of_them}"
